//! `kinora models`

use std::io::Write;
use std::process::ExitCode;

use kinora_models::wan::Variant;
use kinora_models::wan::files::{Role, published};
use serde::Serialize;

use crate::cli::{Global, ModelsArgs};
use crate::library::{Content, Found, Request, Root, resolve, roots, scan};
use crate::units::bytes;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    models: Vec<Model>,
    looked_in: Vec<Root>,
}

#[derive(Serialize)]
struct Model {
    name: &'static str,
    /// Whether `--model NAME`, or `--model NAME:TYPE` with one of these types, would run.
    ready: Vec<String>,
    folders: Vec<String>,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    role: Role,
    found: Vec<File>,
    /// Names that would do, the usual choice first.
    published: Vec<String>,
}

#[derive(Serialize)]
struct File {
    path: String,
    #[serde(rename = "type")]
    dtype: String,
    bytes: u64,
}

pub(crate) fn run(global: &Global, args: &ModelsArgs) -> anyhow::Result<ExitCode> {
    let roots = roots(|name| std::env::var_os(name));
    let found = scan(&roots);
    let variants = Variant::ALL.into_iter().map(|(_, variant)| variant);
    let models = variants
        .filter(|variant| args.name.is_none_or(|name| name == *variant))
        .map(|variant| model(variant, &found, &roots))
        .collect();
    let report = Report {
        models,
        looked_in: roots,
    };
    let mut out = std::io::stdout().lock();
    if global.json() {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write(&mut out, &report)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn model(variant: Variant, found: &[Found], roots: &[Root]) -> Model {
    let part = |role: &Role| Part {
        role: *role,
        found: found.iter().filter_map(|file| file_of(file, *role, variant)).collect(),
        published: published(variant)
            .iter()
            .filter(|file| file.role == *role)
            .map(|file| file.file_name().to_owned())
            .collect(),
    };
    let parts: Vec<Part> = Role::of(variant).iter().map(part).collect();
    let folders: Vec<String> = found
        .iter()
        .filter(|file| file.content == Content::Folder(variant))
        .map(|file| file.path.display().to_string())
        .collect();
    let types = parts.iter().filter(|part| part.role.is_transformer());
    let mut ready: Vec<String> = types
        .flat_map(|part| part.found.iter().map(|file| file.dtype.clone()))
        .chain((!folders.is_empty()).then(|| "diffusers".to_owned()))
        .filter(|dtype| {
            let dtype = Some(dtype.clone());
            resolve(&Request { variant, dtype }, found, roots).is_ok()
        })
        .collect();
    ready.sort();
    ready.dedup();
    Model {
        name: variant.name(),
        ready,
        folders,
        parts,
    }
}

fn file_of(file: &Found, role: Role, variant: Variant) -> Option<File> {
    match &file.content {
        Content::Part(name) if name.role == role && name.variants.contains(&variant) => Some(File {
            path: file.path.display().to_string(),
            dtype: name.dtype.clone(),
            bytes: file.bytes,
        }),
        _ => None,
    }
}

fn write(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    for model in &report.models {
        let ready = match model.ready.as_slice() {
            [] => "incomplete".to_owned(),
            [_] => format!("--model {}", model.name),
            types => format!("--model {}:TYPE, TYPE one of {}", model.name, types.join(", ")),
        };
        writeln!(out, "{}: {ready}", model.name)?;
        for folder in &model.folders {
            writeln!(out, "  {:<18}{folder}", "diffusers folder")?;
        }
        for part in &model.parts {
            let mut label = part.role.to_string();
            for file in &part.found {
                writeln!(out, "  {label:<18}{}  {}", file.path, bytes(file.bytes))?;
                label.clear();
            }
            if part.found.is_empty() && model.folders.is_empty() {
                writeln!(out, "  {label:<18}missing; {}", part.published.join(", "))?;
            }
        }
        if model.ready.is_empty() {
            writeln!(out, "  to fetch it: kinora pull {}", model.name)?;
        }
        writeln!(out)?;
    }
    writeln!(out, "Looked in:")?;
    for root in &report.looked_in {
        let absent = if root.path.is_dir() { "" } else { ", not there" };
        writeln!(out, "  {} ({}{absent})", root.path.display(), root.because)?;
    }
    if !report.looked_in.iter().any(|root| root.because == "KINORA_MODELS") {
        writeln!(out, "KINORA_MODELS names more folders.")?;
    }
    Ok(())
}
