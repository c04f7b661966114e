//! `protoc -o FILE -I FOLDER... FILE.proto...`, as `prost-build` calls it, and no more.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let Some(request) = Request::parse(lexopt::Parser::from_env())? else {
        println!("libprotoc 3.21.0");
        return Ok(());
    };
    let mut compiler = protox::Compiler::new(&request.includes)?;
    compiler.include_imports(request.imports);
    compiler.include_source_info(request.source_info);
    compiler.open_files(&request.files)?;
    fs::write(&request.output, compiler.encode_file_descriptor_set())
        .map_err(|error| format!("{}: {error}", request.output.display()))?;
    Ok(())
}

struct Request {
    includes: Vec<PathBuf>,
    files: Vec<OsString>,
    output: PathBuf,
    imports: bool,
    source_info: bool,
}

impl Request {
    /// `None` if only the version is asked for.
    fn parse(mut arguments: lexopt::Parser) -> Result<Option<Self>, lexopt::Error> {
        let mut output = None;
        let mut request = Self {
            includes: Vec::new(),
            files: Vec::new(),
            output: PathBuf::new(),
            imports: false,
            source_info: false,
        };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("version") => return Ok(None),
                Short('I') | Long("proto_path") => {
                    request.includes.push(arguments.value()?.into());
                }
                Short('o') | Long("descriptor_set_out") => output = Some(arguments.value()?),
                Long("include_imports") => request.imports = true,
                Long("include_source_info") => request.source_info = true,
                // Newer compilers always allow it; callers that know older ones say so.
                Long("experimental_allow_proto3_optional") => {}
                Value(file) => request.files.push(file),
                _ => return Err(argument.unexpected()),
            }
        }
        request.output = output.ok_or("say where to write: -o FILE")?.into();
        if request.files.is_empty() {
            return Err("say what to compile: FILE.proto".into());
        }
        if request.includes.is_empty() {
            request.includes.push(".".into());
        }
        Ok(Some(request))
    }
}
