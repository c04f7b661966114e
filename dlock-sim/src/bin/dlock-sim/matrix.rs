use std::path::PathBuf;
use std::process::ExitCode;

use dlock_sim::matrix;

/// Plays every witness.
#[derive(clap::Args)]
pub struct Matrix {
    /// Writes the table into this Markdown file, between its marks.
    #[arg(long)]
    write: Option<PathBuf>,
    /// The seed of the witnesses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Matrix {
    /// Plays them, and prints the table.
    pub fn run(self) -> Result<ExitCode, String> {
        let mut silent = 0;
        for exception in matrix::exceptions() {
            let shown = exception.show(self.seed);
            let word = match &shown {
                Ok(()) => "shown".to_owned(),
                Err(problem) => {
                    silent += 1;
                    format!("NOT SHOWN: {problem}")
                }
            };
            say!(
                "{:<6} {:<22} {:<18} {:<34} {word}",
                exception.store,
                format!("{:?}", exception.property),
                format!("{:?}", exception.class),
                exception.witness
            );
        }
        say!("\n{}", matrix::table());
        if let Some(path) = self.write {
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let text = matrix::put_into(&text)
                .ok_or_else(|| format!("{} has no marks for the table", path.display()))?;
            std::fs::write(&path, text).map_err(|error| error.to_string())?;
        }
        Ok(if silent == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    }
}
