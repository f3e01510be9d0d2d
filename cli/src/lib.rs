//! `kubectl tributary`: what is wrong, who scrapes what, and why.
//!
//! A client of `fleet.tributary.dev`, of `metrics.k8s.io` and of the Kubernetes API, with the permissions of the caller. It
//! shares no code with scrapers and frontends, and it changes nothing, except [`switch`].
//!
//! - [`api_services`]: how the API groups are registered
//! - [`args`]: flags and commands
//! - [`bundle`]: one archive to attach to an issue
//! - [`commands`]: commands to copy, for the cluster of the caller
//! - [`compare`]: two servers side by side, before a change-over
//! - [`explain`]: one node, pod, autoscaler or trouble
//! - [`kube_api`]: requests, each with a limit of time and of bytes
//! - [`fleet`]: the objects of `fleet.tributary.dev`
//! - [`leases`]: what Leases and pods say of scrapers that are gone
//! - [`printed`]: text, colours, tables, JSON, exit codes
//! - [`catalogue`]: every known trouble
//! - [`completion`]: for shells and for kubectl
//! - [`doctor`]: looks for every known trouble
//! - [`status`]: one screen about the whole fleet
//! - [`switch`]: from another server to Tributary, and back
//! - [`ui`]: a page for a browser on this machine
//! - [`usages`]: lists of what nodes and pods use

pub mod api_services;
pub mod args;
pub mod bundle;
pub mod catalogue;
pub mod commands;
pub mod compare;
pub mod completion;
pub mod doctor;
pub mod explain;
pub mod fleet;
pub mod kube_api;
pub mod leases;
mod metrics_api;
pub mod printed;
mod quantity;
pub mod status;
pub mod switch;
pub mod ui;
pub mod usages;

use std::{ffi::OsString, io, io::IsTerminal as _, io::Write as _, path::Path, process::ExitCode};

use serde::Serialize;
use tokio::runtime::Builder;

use self::{
    args::{Action, Args, BundleArgs, Common, CompareArgs, Output, Switch, UiArgs, What},
    bundle::Limits,
    commands::Commands,
    compare::{Pace, Servers},
    doctor::{Facts, Report},
    kube_api::KubeApi,
    printed::{Documents, Outcome, Paint},
    status::Style,
    switch::{Back, Log, Standing, To},
    ui::Page,
};

/// Runs the command that these words are, and returns what to exit with.
pub fn run(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let words: Vec<OsString> = words.into_iter().collect();
    let documents = Documents::of(&words);
    let args = match args::parse(words) {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to say when the output is closed.
            drop(error.print());
            if error.use_stderr() {
                documents.write_error(&args::in_a_sentence(&error));
                return Outcome::Unknown.into();
            }
            return ExitCode::SUCCESS;
        }
    };
    // An error means that there is a provider already, which can only be this one.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let outcome = Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(act(args));
            runtime.shutdown_background();
            outcome
        });
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text = printed::harmless(&format!("{error:#}"));
            drop(writeln!(io::stderr(), "error: {text}"));
            documents.write_error(&text);
            Outcome::Unknown.into()
        }
    }
}

async fn act(args: Args) -> anyhow::Result<Outcome> {
    let Args { common, action } = args;
    let mut out = io::stdout();
    match action {
        Action::Status(wanted) => {
            let api = KubeApi::connect(&common).await?;
            let style = Style {
                output: common.output,
                paint: Paint::of(&out, common.no_color),
                terminal: out.is_terminal(),
            };
            if wanted.watch {
                return status::watch(&api, style, wanted.interval, &mut out).await;
            }
            return status::once(&api, style, &mut out).await;
        }
        Action::Explain { what } => return Box::pin(explain_one(what, &common, &mut out)).await,
        Action::Compare(wanted) => return Box::pin(compare_both(wanted, &common, &mut out)).await,
        Action::Switch { what } => return Box::pin(change_over(what, &common, &mut out)).await,
        Action::Ui(wanted) => return Box::pin(serve_page(wanted, &common, &mut out)).await,
        Action::Bundle(wanted) => return Box::pin(collect(wanted, &common, &mut out)).await,
        Action::Doctor => return Box::pin(diagnose(&common, &mut out)).await,
        Action::Completion { shell } => completion::script(shell, &mut out)?,
        Action::Complete { words } => completion::suggest(&words, &mut out)?,
    }
    Ok(Outcome::Healthy)
}

/// Writes what a command came to. Every document goes this way.
fn write(
    out: &mut io::Stdout,
    common: &Common,
    text: impl FnOnce(Paint) -> String,
    document: &impl Serialize,
) -> anyhow::Result<()> {
    let paint = Paint::of(out, common.no_color);
    let shown = printed::shown(common.output, paint, || text(paint), document);
    out.write_all(shown.as_bytes())?;
    out.flush()?;
    Ok(())
}

async fn explain_one(what: What, common: &Common, out: &mut io::Stdout) -> anyhow::Result<Outcome> {
    let explained = match &what {
        What::Trouble { code } => {
            let (code, commands) = (explain::trouble(code)?, Commands::of(common));
            let text = |_| code.section(&commands);
            write(out, common, text, &code.document(&commands))?;
            return Ok(Outcome::Healthy);
        }
        What::Node { name } => explain::node(&KubeApi::connect(common).await?, name, now()).await,
        What::Pod { name } => {
            let (api, name) = found("pod", name, common).await?;
            explain::pod(&api, name, now()).await
        }
        What::Hpa { name } => {
            let (api, name) = found("autoscaler", name, common).await?;
            explain::hpa(&api, name, now()).await
        }
    };
    write(
        out,
        common,
        |paint| explained.text(paint),
        &explained.document(),
    )?;
    Ok(explained.outcome)
}

/// The API with the namespace of `NAMESPACE/NAME`, and the name.
async fn found<'a>(
    kind: &str,
    name: &'a str,
    common: &Common,
) -> anyhow::Result<(KubeApi, &'a str)> {
    anyhow::ensure!(
        !common.all_namespaces,
        "one {kind} cannot be explained across all namespaces (--all-namespaces): name its namespace with --namespace, or as \
         NAMESPACE/NAME"
    );
    let api = KubeApi::connect(common).await?;
    explain::in_namespace(api, name, common.namespace.as_deref())
}

async fn diagnose(common: &Common, out: &mut io::Stdout) -> anyhow::Result<Outcome> {
    let api = KubeApi::connect(common).await?;
    let facts = Box::pin(Facts::read(&api, common.namespace.as_deref(), now())).await;
    let report = Report::of(&facts);
    write(out, common, |paint| doctor::text(&report, paint), &report)?;
    Ok(report.outcome)
}

async fn serve_page(
    wanted: UiArgs,
    common: &Common,
    out: &mut io::Stdout,
) -> anyhow::Result<Outcome> {
    let api = KubeApi::connect(common).await?;
    let stop = switch::interrupts()?;
    let page = Page {
        port: wanted.port,
        interval: wanted.interval,
        namespace: common.namespace.clone(),
    };
    let server = ui::Server::bind(api, page).await?;
    let address = server.address();
    let text = |_| format!("open {address}\nCtrl-C ends it\n");
    write(out, common, text, &serde_json::json!({ "url": address }))?;
    server.run(stop).await;
    Ok(Outcome::Healthy)
}

async fn collect(
    wanted: BundleArgs,
    common: &Common,
    out: &mut io::Stdout,
) -> anyhow::Result<Outcome> {
    let now = now();
    let path = wanted.file.unwrap_or_else(|| bundle::file_name(now).into());
    let to_output = path == Path::new(args::OUTPUT);
    if to_output {
        anyhow::ensure!(
            !out.is_terminal(),
            "the archive is not written to a terminal: lead the output to a file or to a program"
        );
    } else {
        bundle::check(&path)?;
    }
    let api = KubeApi::connect(common).await?;
    let limits = Limits {
        log: wanted.log_size,
        all: wanted.max_size,
    };
    let contents = bundle::gather(&api, common.namespace.as_deref(), limits, now).await;
    if !to_output {
        let written = bundle::write(&contents, &path)?;
        write(out, common, |paint| bundle::text(&written, paint), &written)?;
        return Ok(written.outcome);
    }
    let written = bundle::write_to(&contents, out)?;
    // The list is no part of the archive.
    let mut error = io::stderr();
    let paint = Paint::of(&error, common.no_color);
    let text = || bundle::text(&written, paint);
    error.write_all(printed::shown(common.output, paint, text, &written).as_bytes())?;
    Ok(written.outcome)
}

async fn compare_both(
    wanted: CompareArgs,
    common: &Common,
    out: &mut io::Stdout,
) -> anyhow::Result<Outcome> {
    let api = KubeApi::patient(common).await?;
    let servers = Servers::of(&api_services::registrations(&api).await?);
    let servers = servers.map_err(anyhow::Error::msg)?;
    let mut say = progress(common.output);
    let comparison = compare::compare(&api, servers, pace(wanted), &mut say).await;
    let text = |paint| compare::text(&comparison, paint);
    write(out, common, text, &comparison)?;
    Ok(comparison.outcome)
}

/// Writes what is done, line by line, if people read it. That the reader has gone does not end what is done.
fn progress(output: Output) -> impl FnMut(&str) + Send {
    let mut out = io::stdout();
    move |line: &str| {
        if output == Output::Text {
            let line = printed::harmless(line);
            drop(writeln!(out, "{line}").and_then(|()| out.flush()));
        }
    }
}

fn pace(wanted: CompareArgs) -> Pace {
    Pace {
        length: wanted.length,
        every: wanted.every,
    }
}

async fn change_over(
    what: Switch,
    common: &Common,
    out: &mut io::Stdout,
) -> anyhow::Result<Outcome> {
    let api = KubeApi::patient(common).await?;
    let mut say = progress(common.output);
    let mut log = Log::new(api.commands.clone(), &mut say);
    let report = match what {
        Switch::To(wanted) => {
            let compare = (!wanted.skip_compare).then(|| pace(wanted.compare));
            let wanted = To {
                compare,
                only_v1: wanted.only_v1,
                ignore_owner: wanted.ignore_owner,
                dry_run: wanted.dry_run,
                watch_for: wanted.watch_for,
                service: wanted.service,
            };
            let stop = std::pin::pin!(switch::interrupts()?);
            switch::to(&api, &wanted, &mut log, stop).await
        }
        Switch::Back(wanted) => {
            let wanted = Back {
                drop_v1: wanted.drop_v1,
                ignore_endpoints: wanted.ignore_endpoints,
                dry_run: wanted.dry_run,
                watch_for: wanted.watch_for,
            };
            let interrupt = switch::interrupts()?;
            let ended = tokio::select! {
                report = switch::back(&api, &wanted, &mut log) => Some(report),
                () = interrupt => None,
            };
            ended.unwrap_or_else(|| log.interrupted())
        }
        Switch::Status => {
            let standing = Standing::read(&api).await?;
            let text = |paint| switch::text(&standing, paint);
            write(out, common, text, &standing)?;
            return Ok(standing.outcome);
        }
    };
    if common.output == Output::Json {
        // The exit code counts, also if the reader has gone.
        drop(out.write_all(printed::json(&report).as_bytes()));
    }
    Ok(report.outcome)
}

/// The date by the clock of this machine, for servers that do not say theirs.
#[expect(clippy::disallowed_methods, reason = "the only clock here")]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// Whether the reader of the output has gone, as `head` does.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::BrokenPipe)
}
