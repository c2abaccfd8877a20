//! The command line: one file a subcommand, and the exit codes. This is the only place that reads the process's
//! environment, opens files that a person names, and decides between live, read-only and drill.

mod approve;
pub mod args;
mod attach;
mod audit;
mod baseline;
mod brief;
mod comms;
mod completions;
mod config;
mod console;
mod desk;
mod doctor;
mod drill;
mod elevate;
mod estates;
mod explain;
mod files;
mod fleet;
mod gate;
mod headless;
mod incident;
mod init;
mod keys;
mod log;
mod login;
mod logs;
mod looks;
mod man;

mod opening;
mod output;
mod people;
mod pins;
mod playbook;
mod policy;
mod rbac;
mod replay;
mod report;
#[cfg(test)]
mod schemas;
mod secrets;
mod serve;
mod session;
mod status;
mod witnesses;

use crate::engine::api::Decision;
use args::{Cli, Command, Format};
use clap::Parser as _;
use output::{Error, Exit};
use std::process::ExitCode;

/// Runs the program with the arguments of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::unparsed(&error, asks_for_json(std::env::args_os().skip(1))).into(),
    };
    // Several crates use rustls; without this the first connection would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let format = cli.global.format;
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => output::complain(&error, format).into(),
    }
}

/// Whether arguments that could not be parsed ask for JSON nevertheless.
fn asks_for_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let mut before = None;
    for argument in arguments {
        if argument == "--format=json" || (argument == "json" && before.is_some_and(|b| b == "--format")) {
            return true;
        }
        before = Some(argument);
    }
    false
}

fn run(cli: Cli) -> Result<Exit, Error> {
    let Cli { global, command } = cli;
    let page = matches!(command, Some(Command::Comms { what: args::Comms::StatusPage { .. } }));
    let written = matches!(command, Some(Command::Report(_))) || page && global.format == Format::Md;
    if matches!(global.format, Format::Md | Format::Html) && !written {
        return Err(Error::Usage(
            "--format md and --format html are for `report`; allowed here are table and json".into(),
        ));
    }
    match command {
        None => console::open(&global),
        Some(Command::Drill { what: None, play }) if play.headless || play.script.is_some() => {
            drill::play::run(&global, &play)
        }
        Some(Command::Drill { what: None, play }) => console::drill(&global, &play),
        Some(Command::Drill { what: Some(what), .. }) => drill::run(&global, &what),
        Some(Command::Serve) => serve::run(&global),
        Some(Command::Attach { socket }) => attach::run(&global, socket.as_deref()),
        Some(Command::Consoles) => brief::consoles(&global),
        Some(Command::Status { watch }) => status::run(&global, watch),
        Some(Command::Explain { what }) => explain::run(&global, what.as_deref()),
        Some(Command::Logs { tenant, since }) => logs::run(&global, &tenant, since.as_deref()),
        Some(Command::Gate { since, tenant }) => gate::run(&global, &since, tenant.as_deref()),
        Some(Command::Baseline { what }) => baseline::run(&global, &what),
        Some(Command::Playbook { what }) => playbook::run(&global, &what),
        Some(Command::Incident { what }) => incident::run(&global, what),
        Some(Command::Run { what }) => incident::runs(&global, what),
        Some(Command::Policy { what }) => policy::run(&global, &what),
        Some(Command::Approve { answer }) => approve::answer(&global, &answer, Decision::Approve, ""),
        Some(Command::Deny { answer, reason }) => approve::answer(&global, &answer, Decision::Deny, &reason),
        Some(Command::Request { what }) => approve::requests(&global, &what),
        Some(Command::Elevate { what }) => elevate::run(&global, &what),
        Some(Command::Freeze { what }) => people::freeze(&global, &what),
        Some(Command::Continuity { what }) => people::continuity(&global, what),
        Some(Command::Comms { what }) => comms::run(&global, what),
        Some(Command::Measures { what }) => people::measures(&global, &what),
        Some(Command::Report(asked)) => report::run(&global, &asked),
        Some(Command::Replay(asked)) => replay::run(&global, &asked),
        Some(Command::Glass { what }) => incident::glass(&global, what),
        Some(Command::Audit { what }) => audit::run(&global, &what),
        Some(Command::Doctor { bundle }) => doctor::run(&global, bundle.as_deref()),
        Some(Command::Rbac(asked)) => rbac::run(&global, &asked),
        Some(Command::Config { what }) => config::run(&global, &what),
        Some(Command::Keys) => keys::run(&global),
        Some(Command::Completions { shell }) => completions::run(shell),
        Some(Command::Man { output }) => man::run(global.format, output.as_deref()),
    }
}
