use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use dlock_sim::report;
use dlock_sim::scenario;

/// Plays every scenario on each of its stores.
#[derive(clap::Args)]
pub struct Catalogue {
    /// Writes `index.html` and a page for each scenario into this folder.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The seed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Catalogue {
    /// Plays them, prints the table, and writes the pages.
    pub fn run(self) -> Result<ExitCode, String> {
        if let Some(folder) = &self.out {
            let told =
                |error| format!("{}: {error}: name a folder to write into", folder.display());
            fs::create_dir_all(folder).map_err(told)?;
        }
        let all = report::play_all(self.seed, |played, done, of| {
            let (name, store) = (played.scenario.name, &played.store);
            eprintln!("[{done:>2}/{of}] {name} on {store}");
        });
        if let Some(folder) = &self.out {
            let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
            for played in &all {
                fs::write(folder.join(played.file()), played.page()).map_err(failed)?;
            }
            fs::write(folder.join("index.html"), report::index(&all)).map_err(failed)?;
        }
        say!("\n{}", report::table(&all));
        let wrong = all.iter().filter(|played| !played.is_as_told()).count();
        say!(
            "{} scenarios, {} pictures, {wrong} not as they should be; {} to come with Redlock",
            scenario::ALL.len(),
            all.iter().map(|played| played.takes.len()).sum::<usize>(),
            scenario::PENDING.len(),
        );
        for played in all.iter().filter(|played| !played.is_as_told()) {
            for surprise in played.takes.iter().flat_map(|shown| &shown.surprises) {
                say!("{} on {}: {surprise}", played.scenario.name, played.store);
            }
        }
        Ok(ExitCode::from(u8::from(wrong > 0)))
    }
}
