//! The `snnc` command: reads its arguments, asks the compiler and the runtime, reports.
//!
//! Results go to stdout, all else to stderr. Exit codes: 0 success, 1 the model or the request is at fault,
//! 2 the command line is, 3 a file is, 101 snnc is; 130 stopped by the user.

#![forbid(unsafe_code)]

mod check;
mod cli;
mod compile;
mod data;
mod energy;
mod eval;
mod failure;
mod grad;
mod gradcheck;
mod infer;
mod init;
mod model;
mod output;
mod panic;
mod plot;
mod products;
mod resume;
mod signals;
mod train;

use clap::Parser;
use cli::{Cli, Command, DataCommand};
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    panic::install_hook();
    let cli = Cli::parse();
    cli.color.write_global();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Check(args) => check::run(args, cli.json),
        Command::Compile(args) => compile::run(args, cli.json),
        Command::Train(args) => train::run(args, cli.json),
        Command::Plot(args) => plot::run(args, cli.json),
        Command::Eval(args) => eval::run(args, cli.json),
        Command::Energy(args) => energy::run(args, cli.json),
        Command::Infer(args) => infer::run(args, cli.json),
        Command::Grad(args) => grad::run(args, cli.json),
        Command::Data(DataCommand::Inspect(args)) => data::inspect(args, cli.json),
        Command::Gradcheck(args) => gradcheck::run(args, cli.json),
        Command::Init(args) => init::run(args, cli.json),
    }
}
