//! `kinora pull`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use kinora_models::wan::files::{Role, published, recognise, type_matches};

use crate::cli::{Global, Misuse, PullArgs};
use crate::interrupt;
use crate::library::{self, Request, Unresolved};
use crate::meter::Meter;
use crate::pull::{Downloader, Error, Hub, HubFile, Patience, Progress};
use crate::units::bytes;

/// Folders of ComfyUI's `models` that a path in a repository may name.
const FOLDERS: [&str; 5] = ["diffusion_models", "text_encoders", "vae", "loras", "clip_vision"];

/// A file and where it goes below the download folder.
struct Item {
    file: HubFile,
    place: PathBuf,
}

pub(crate) fn run(global: &Global, args: &PullArgs) -> anyhow::Result<ExitCode> {
    let variable = |name: &str| std::env::var_os(name);
    let roots = library::roots(variable);
    let mut meter = Meter::new(global.json());
    let items = match args.name.contains('/') {
        true => vec![single(&args.name)?],
        false => missing(&args.name.parse()?, &roots)?,
    };
    if items.is_empty() {
        meter.say(&format!("{}: nothing is missing", args.name));
        return Ok(ExitCode::SUCCESS);
    }
    let folder = args.to.as_deref().or_else(|| library::download_folder(&roots));
    let folder = folder.ok_or_else(|| {
        let why = "no folder for models is known; set KINORA_MODELS to one, or give --to FOLDER";
        Misuse(why.to_owned())
    })?;
    let hub = Hub::from_env(variable)?;
    let targets: Vec<PathBuf> = items.iter().map(|item| folder.join(&item.place)).collect();
    if args.dry_run {
        dry_run(&hub, &items, &targets, &meter);
        return Ok(ExitCode::SUCCESS);
    }
    let downloader = Downloader::new(hub, Patience::default());
    for (item, target) in items.iter().zip(&targets) {
        fetch(&downloader, item, target, &mut meter)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn dry_run(hub: &Hub, items: &[Item], targets: &[PathBuf], meter: &Meter) {
    let patience = Patience {
        attempts: 1,
        ..Patience::default()
    };
    let downloader = Downloader::new(hub.clone(), patience);
    for (item, target) in items.iter().zip(targets) {
        let size = match downloader.size(&item.file) {
            Ok(Some(size)) => bytes(size),
            Ok(None) => "size unknown".to_owned(),
            Err(error) => format!("not available: {error}"),
        };
        meter.say(&format!("{} -> {} ({size})", hub.url(&item.file), target.display()));
    }
}

fn fetch(downloader: &Downloader, item: &Item, target: &Path, meter: &mut Meter) -> anyhow::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let name = item.file.name();
    let result = downloader.fetch(
        &item.file,
        target,
        &interrupt::requested,
        &mut |progress| match progress {
            Progress::Begun { total, done } => meter.begin(name, total, done),
            Progress::Bytes(done) => meter.set(done),
            Progress::Retry(why) => meter.say(&format!("{name}: {why}; trying again")),
        },
    );
    meter.end();
    match result {
        Ok(true) => meter.say(&format!("{}: fetched", target.display())),
        Ok(false) => meter.say(&format!("{}: there already", target.display())),
        Err(error @ Error::Cancelled { .. }) => {
            let error = anyhow::Error::from(kinora_graph::Error::Cancelled).context(format!("{name}: {error}"));
            return Err(error);
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The one file that a path in a repository means.
fn single(path: &str) -> Result<Item, Error> {
    let file = HubFile::parse(path)?;
    let by_name = recognise(file.name()).map(|name| name.role.folder());
    let by_path = || {
        FOLDERS
            .into_iter()
            .find(|folder| file.path.split('/').any(|piece| piece == *folder))
    };
    let folder = by_name.or_else(by_path).unwrap_or("");
    let place = Path::new(folder).join(file.name());
    Ok(Item { file, place })
}

/// The published files for what a model lacks here.
fn missing(request: &Request, roots: &[library::Root]) -> anyhow::Result<Vec<Item>> {
    let (request, roles) = match library::resolve(request, &library::scan(roots), roots) {
        Ok(_) | Err(Unresolved::Ambiguous { .. }) => return Ok(Vec::new()),
        Err(Unresolved::Missing { request, roles, .. }) => (request, roles),
    };
    let all = published(request.variant);
    let item = |role: &Role| {
        let wanted = request.dtype.as_deref().filter(|_| role.is_transformer());
        let fits = |dtype: &str| wanted.is_none_or(|wanted| type_matches(wanted, dtype));
        let of_role = || all.iter().filter(|file| file.role == *role);
        let file = of_role().find(|file| fits(file.dtype)).ok_or_else(|| {
            let types: Vec<&str> = of_role().map(|file| file.dtype).collect();
            Misuse(format!(
                "{request}: no {role} of this type is published; there are {}",
                types.join(", ")
            ))
        })?;
        Ok(Item {
            file: HubFile::of_main(&file.repo, &file.path),
            place: Path::new(role.folder()).join(file.file_name()),
        })
    };
    roles.iter().map(item).collect()
}
