//! Flags. Their doc comments are the manual.

mod forms;
mod names;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{
    Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    builder::FalseyValueParser,
};

pub(crate) use self::forms::flag;
use crate::quantity::milli;

/// Shows what Tributary does in a cluster, and what is wrong. Changes nothing, except `switch`.
///
/// Exit code: 0 healthy, 1 findings, 2 cannot tell.
#[derive(Debug, Parser)]
#[command(name = "kubectl-tributary", version)]
pub struct Args {
    /// Which cluster, and how to write.
    #[command(flatten)]
    pub common: Common,

    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// Flags that every command takes.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct Common {
    /// The kubeconfig file. Without it: those that `$KUBECONFIG` names, `~/.kube/config`, or the account of the pod.
    #[arg(long, value_name = "FILE", global = true)]
    pub kubeconfig: Option<PathBuf>,

    /// The context in the kubeconfig. Without it: its current one.
    #[arg(long, value_name = "NAME", global = true)]
    pub context: Option<String>,

    /// The namespace of pods and autoscalers. Without it: that of the context, and for commands that look at the whole
    /// cluster all.
    #[arg(short, long, value_name = "NAME", value_parser = names::namespace, global = true)]
    pub namespace: Option<String>,

    /// All namespaces.
    #[arg(short = 'A', long, global = true, conflicts_with = "namespace")]
    pub all_namespaces: bool,

    /// How to write: text, or JSON for programs.
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "text",
        global = true
    )]
    pub output: Output,

    /// No colours. There are none either if the output is not a terminal.
    #[arg(long, env = "NO_COLOR", value_parser = FalseyValueParser::new(), global = true)]
    pub no_color: bool,

    /// How long one request may take.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, global = true)]
    pub request_timeout: Duration,
}

impl Common {
    /// The flags of a command with this kubeconfig, as text and without colours. All others have their defaults.
    #[must_use]
    pub fn of(kubeconfig: impl Into<PathBuf>) -> Self {
        Self {
            kubeconfig: Some(kubeconfig.into()),
            context: None,
            namespace: None,
            all_namespaces: false,
            output: Output::Text,
            no_color: true,
            request_timeout: Duration::from_secs(15),
        }
    }
}

/// How to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// One screen: versions, APIServices, frontends, scrapers and their shares, nodes and how fresh their metrics are.
    Status(StatusArgs),

    /// Looks for every known trouble (docs/troubles/README.md) and says what to do about it. Changes nothing.
    ///
    /// Autoscalers are those of all namespaces, or of the one that --namespace names. Checks that cannot be made, for example
    /// because you lack permissions, are named, and so are those that have nothing to look at.
    Doctor,

    /// Asks Tributary and the server behind metrics.k8s.io side by side for a minute, before a change-over. Changes nothing.
    ///
    /// Says how many of the nodes and pods of the other server Tributary serves, which it lacks and why, and whose usage
    /// differs widely. With fewer than 95 % of the nodes or pods the exit code is 1. Tributary is asked through
    /// kube-apiserver for nodeusages and podusages of fleet.tributary.dev.
    Compare(CompareArgs),

    /// Leads metrics.k8s.io from another server to Tributary, and back: `to`, `back` or `status`.
    Switch {
        /// What.
        #[command(subcommand)]
        what: Switch,
    },

    /// Writes one archive to attach to an issue, without secrets, and lists what is in it. Changes nothing.
    ///
    /// In it are: versions, APIServices, the fleet, what `doctor` finds, the workloads of Tributary with the logs of their
    /// containers, events, autoscalers and nodes. Secrets are never read. The data of each ConfigMap, the values of
    /// variables, and whatever looks like a token, a private key, a password or a header with one is removed; look through it
    /// nevertheless before you attach it. What cannot be read is listed with the reason.
    ///
    /// Exit code: 0 written; 1 written, and something could not be read; 2 not written, or nothing could be read.
    Bundle(BundleArgs),

    /// Says how one thing stands, and why: `node NAME`, `pod NAME`, `hpa NAME` or `trouble CODE`.
    ///
    /// `pod/NAME` is the same, and NAMESPACE/NAME names the namespace of a pod or an autoscaler, too.
    Explain {
        /// What.
        #[command(subcommand)]
        what: What,
    },

    /// Serves a page for a browser on this machine: the fleet as a picture, one node, who uses most, and what doctor finds.
    ///
    /// It reads what the other commands read, with your permissions, while a page is open, and goes on until Ctrl-C. It
    /// writes the address. Only this machine can reach it, and only with the token in the address: treat it like a
    /// password. Pods are those of all namespaces, or of the one that --namespace names.
    Ui(UiArgs),

    /// Writes a script for completion in a shell.
    ///
    /// For `kubectl tributary` write `kubectl` to a file `kubectl_complete-tributary` on the PATH, and make it executable.
    Completion {
        /// Which one.
        shell: Shell,
    },

    /// What kubectl asks for completion: the words so far.
    #[command(name = "__complete", hide = true)]
    Complete {
        /// The words; the last one is not finished.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
}

/// What to explain.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// A node: its last readings, who scrapes it, why it has metrics or not.
    #[command(aliases = ["nodes", "no"])]
    Node {
        /// Its name.
        #[arg(value_parser = names::object)]
        name: String,
    },
    /// A pod: its containers, the samples, why it has metrics or not.
    #[command(aliases = ["pods", "po"])]
    Pod {
        /// Its name, or NAMESPACE/NAME.
        #[arg(value_parser = names::in_namespace)]
        name: String,
    },
    /// A horizontal pod autoscaler: its arithmetic with the metrics of now, and what it would do.
    #[command(aliases = ["horizontalpodautoscaler", "horizontalpodautoscalers"])]
    Hpa {
        /// Its name, or NAMESPACE/NAME.
        #[arg(value_parser = names::in_namespace)]
        name: String,
    },
    /// A trouble that `doctor` found, from docs/troubles/README.md. Asks no cluster.
    Trouble {
        /// Its code, such as TRB007, or its name.
        code: String,
    },
}

/// Flags of `status`.
#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// Goes on until Ctrl-C.
    #[arg(short, long)]
    pub watch: bool,

    /// How often it looks again with `--watch`.
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = duration)]
    pub interval: Duration,
}

/// Flags of `ui`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct UiArgs {
    /// The port on 127.0.0.1. 0: one that is free.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,

    /// How often it reads the fleet. It reads less often where that takes more than a fifth of the time.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub interval: Duration,
}

/// Flags of `bundle`.
#[derive(Clone, Debug, clap::Args)]
pub struct BundleArgs {
    /// The archive, a new file that only its owner may read, or `-` for the output. Without it:
    /// tributary-bundle-DATE.tar.gz in the current directory.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// The most bytes of the log of each container. The newest lines are kept.
    #[arg(long, value_name = "BYTES", default_value = "1Mi", value_parser = size)]
    pub log_size: usize,

    /// The most bytes of all files together, before they are compressed. What does not fit is listed.
    #[arg(long, value_name = "BYTES", default_value = "64Mi", value_parser = size)]
    pub max_size: usize,
}

/// Flags of `compare`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct CompareArgs {
    /// How long both servers are asked.
    #[arg(long = "for", value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub length: Duration,

    /// How often.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub every: Duration,
}

/// Which way to change over.
#[derive(Clone, Debug, Subcommand)]
pub enum Switch {
    /// Compares both servers, leads v1beta1 and v1 to Tributary, asks for a minute, and goes back by itself if something is
    /// not as it should be.
    ///
    /// Each APIService changes in one write, with the CA, so no request fails. What was there is kept in the annotation
    /// tributary.dev/before. Refused are: a Tributary that serves less than 95 % of the nodes or pods of the other server,
    /// and an APIService that something else writes (Helm, Argo CD, Flux, an add-on manager, k3s, a platform); what to do
    /// first is said. Ctrl-C goes back.
    ///
    /// Exit code: 0 changed over; 1 refused or gone back, and the cluster is as before; 2 it is not known, and the last
    /// line says what to do.
    To(ToArgs),

    /// Goes back to what was there before.
    ///
    /// v1 stays with Tributary if no server served it before, because clients that have discovered it would find nothing.
    ///
    /// Exit code: 0 gone back, and the other server answers; 1 refused, nothing to go back to, or the other server does
    /// not answer; 2 it is not known.
    Back(BackArgs),

    /// Says where v1beta1 and v1 lead, which server answers, what `switch back` restores, and what else writes them.
    ///
    /// Exit code: 0 each version is answered by the server to which it leads; 1 one is not; 2 it is not known.
    Status,
}

/// Flags of `switch to`.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line")]
pub struct ToArgs {
    /// How both servers are compared first.
    #[command(flatten)]
    pub compare: CompareArgs,

    /// Changes over without a comparison. Tributary must still serve 95 % of the nodes right after the change.
    #[arg(long)]
    pub skip_compare: bool,

    /// Leads only v1 to Tributary, where v1beta1 belongs to the platform, as on GKE and AKS.
    #[arg(long)]
    pub only_v1: bool,

    /// Goes on although something else writes the APIService. It may write it back at any time.
    #[arg(long)]
    pub ignore_owner: bool,

    /// How long Tributary is asked after the change, before it is kept.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub watch_for: Duration,

    /// The Service of Tributary, with its port if that is not 443. Without it: the one behind
    /// v1alpha1.fleet.tributary.dev. With it the CA is read from the Secrets SERVICE-serving and SERVICE-tls, and the
    /// ConfigMap SERVICE-ca.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub service: Option<String>,

    /// Compares, and says what would be changed. Changes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Flags of `switch back`.
#[derive(Clone, Debug, clap::Args)]
pub struct BackArgs {
    /// Deletes v1 if no server served it before. Needed before Tributary is uninstalled.
    #[arg(long)]
    pub drop_v1: bool,

    /// Goes back although no pod behind the Service of before is ready.
    #[arg(long)]
    pub ignore_endpoints: bool,

    /// How long the server of before may take to answer.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub watch_for: Duration,

    /// Says what would be changed. Changes nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// For which program a completion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Of `kubectl tributary`, in any shell.
    Kubectl,
    /// Of `kubectl-tributary` in bash.
    Bash,
    /// Of `kubectl-tributary` in zsh.
    Zsh,
    /// Of `kubectl-tributary` in fish.
    Fish,
}

/// The name of a file that is the output.
pub(crate) const OUTPUT: &str = "-";

/// What is wrong with the command line, without the usage.
pub(crate) fn in_a_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

/// Reads the command line. Started by kubectl, the command calls itself `kubectl tributary`.
///
/// # Errors
///
/// What clap has to say: also help and version.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Args, clap::Error> {
    let command = command();
    let words = forms::in_two_words(&command, words.into_iter().collect());
    let matches = command.try_get_matches_from(words)?;
    Args::from_arg_matches(&matches)
}

/// The command, as kubectl shows it.
pub fn command() -> Command {
    Args::command().bin_name("kubectl tributary")
}

/// A number of bytes, as a quantity of Kubernetes.
fn size(text: &str) -> Result<usize, String> {
    let milli = milli(text).filter(|milli| milli % 1_000 == 0 && *milli > 0);
    let bytes = milli.and_then(|milli| usize::try_from(milli / 1_000).ok());
    bytes.ok_or_else(|| "such as 512Ki or 64Mi".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "such as 15s or 1m".to_owned())?;
    let span = Duration::try_from(span).map_err(|_| "must not be negative".to_owned())?;
    if span.is_zero() {
        return Err("must not be 0".to_owned());
    }
    Ok(span)
}

#[cfg(test)]
mod tests;
