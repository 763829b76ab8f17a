//! `kinora synth`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use kinora_models::wan::Variant;
use kinora_models::wan::files::Role;

use crate::cli::{Global, Misuse, SynthArgs};
use crate::convert::{Error, Synth, Target, synth};
use crate::interrupt;
use crate::meter::Meter;

pub(crate) fn run(global: &Global, args: &SynthArgs) -> anyhow::Result<ExitCode> {
    let roles = Role::of(args.variant);
    let wanted = args.part.map(Role::from);
    if let Some(role) = wanted.filter(|role| !roles.contains(role)) {
        let parts: Vec<String> = roles.iter().map(Role::to_string).collect();
        let why = format!("{} has no {role}; its parts are {}", args.variant, parts.join(", "));
        return Err(Misuse(why).into());
    }
    let extension = args
        .output
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let one_file = matches!(extension.as_str(), "safetensors" | "gguf");
    let files: Vec<(Role, Target, PathBuf)> = if one_file {
        let role = wanted.or(roles.contains(&Role::Transformer).then_some(Role::Transformer));
        let role = role.ok_or_else(|| Misuse(format!("{} has two experts; choose one with --part", args.variant)))?;
        vec![(role, args.target, args.output.clone())]
    } else {
        let chosen = roles.iter().filter(|role| wanted.is_none_or(|wanted| wanted == **role));
        chosen
            .map(|role| {
                let target = target(*role, args.target);
                let path = args.output.join(role.folder()).join(name(args.variant, *role, target));
                (*role, target, path)
            })
            .collect()
    };
    let mut meter = Meter::new(global.json());
    for (role, target, path) in files {
        if !one_file && let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        let job = Synth {
            variant: args.variant,
            role,
            target,
            output: &path,
            seed: args.seed,
            force: args.force,
        };
        meter.begin(&path.display().to_string(), Some(job.bytes()?), 0);
        let result = synth(&job, &mut |bytes| {
            meter.add(bytes);
            !interrupt::requested()
        });
        meter.end();
        match result {
            Ok(()) => meter.say(&format!("{}: written", path.display())),
            Err(error @ Error::Cancelled) => {
                return Err(anyhow::Error::from(kinora_graph::Error::Cancelled).context(error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The type of a part: an autoencoder is never quantised.
fn target(role: Role, target: Target) -> Target {
    if role == Role::Vae && !target.is_plain() {
        Target::F16
    } else {
        target
    }
}

/// A name by which `kinora models` knows the file.
fn name(variant: Variant, role: Role, target: Target) -> String {
    let model = variant.name().replace('-', "_");
    let stem = match role {
        Role::Transformer => model,
        Role::High => format!("{model}_high_noise"),
        Role::Low => format!("{model}_low_noise"),
        Role::TextEncoder => "umt5_xxl".to_owned(),
        Role::Vae if variant == Variant::Wan22Ti2v5b => "wan2.2_vae".to_owned(),
        Role::Vae => "wan_2.1_vae".to_owned(),
    };
    let dtype = target.name.replace('-', "_");
    format!("{stem}_{dtype}.{}", target.container().extension())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinora_models::wan::files::recognise;

    #[test]
    fn every_name_is_found_again() {
        for (_, variant) in Variant::ALL {
            for role in Role::of(variant) {
                for target in Target::ALL {
                    let name = name(variant, *role, target);
                    let found = recognise(&name).unwrap_or_else(|| panic!("{name}"));
                    assert_eq!(found.role, *role, "{name}");
                    assert!(found.variants.contains(&variant), "{name}");
                }
            }
        }
    }
}
