//! The command line.

use crate::products::{ProductArgs, firing_rate};
use clap::{Args, Parser, Subcommand, ValueEnum};
use snnc_compiler::Emit;
use std::path::PathBuf;

/// A compiler and trainer for spiking neural networks.
#[derive(Parser, Debug)]
#[command(version, about, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print one JSON object on stdout instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours; NO_COLOR is honoured.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// In any case.
    Always,
    /// In no case.
    Never,
}

impl Color {
    /// Makes it the process's choice.
    pub fn write_global(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto.write_global(),
            Color::Always => anstream::ColorChoice::Always.write_global(),
            Color::Never => anstream::ColorChoice::Never.write_global(),
        }
    }
}

/// The subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Check a model and list its layers.
    ///
    /// JSON: name, timesteps, classes, parameters, macs_per_timestep, layers[] of {name, kind, output, parameters,
    /// macs_per_timestep, input}, params, warnings[].
    Check(CheckArgs),
    /// Compile a model to machine code, and show any stage on the way.
    ///
    /// JSON: name, seconds, passes[] of {mode, name, seconds, insts_before, insts_after}, kernels[] of {mode, name,
    /// steps, scratch_bytes, code_bytes}, modes[] of {mode, seconds, arena_fixed_bytes, arena_bytes_per_sample,
    /// arena_level_bytes_per_sample, arena_above_bytes}, emitted[] of {name, path or text}.
    Compile(CompileArgs),
    /// Train a model.
    ///
    /// JSON: test_accuracy (0 to 1), test_top5, test_loss, samples (of the test part), images_per_second (of
    /// training), peak_bytes (as planned), resident_bytes (as it was), firing_rates, best_accuracy, epochs, seconds, out,
    /// history[], warnings[]. With --dry-run: memory of {train_bytes, test_bytes, optimizer_bytes, loader_bytes,
    /// data_bytes, process_bytes}, peak_bytes, available_bytes, batch, loss, grad_norm, step_seconds of {data, forward,
    /// backward, update}, steps, epoch_seconds, run_seconds, firing_rate.
    Train(TrainArgs),
    /// Draw the curves of a run: loss, accuracy, learning rate, firing rates.
    ///
    /// JSON: output, epochs.
    Plot(PlotArgs),
    /// Measure a trained model on the test part of a data set.
    ///
    /// JSON: test_accuracy (0 to 1), test_top5, test_loss, samples, images_per_second, peak_bytes, firing_rates, fires.
    Eval(EvalArgs),
    /// Count the operations of an inference and price them, layer by layer.
    ///
    /// JSON: convention, samples, layers[] of {layer, class, macs, rate, sops, sops_exact, mac_operations, energy_nj,
    /// input_bytes}, sops, sops_exact, mac_operations, energy_mj, energy_exact_mj, ann_mj, attention_mj, neuron_updates,
    /// bytes_moved, baseline.
    Energy(EnergyArgs),
    /// Compute the logits of the samples in a .npy file.
    ///
    /// JSON: samples, classes, output, seconds, images_per_second, peak_bytes, firing_rates, fires.
    Infer(InferArgs),
    /// One forward and backward in training mode: the loss and the gradient of every parameter by its path.
    ///
    /// JSON: loss, samples, gradients, output, seconds, peak_bytes, firing_rates.
    Grad(GradArgs),
    /// Compare a model's compiled gradients with those of the slow reference evaluator, and its gradient rules with
    /// slopes of the loss.
    ///
    /// JSON: loss, reference_loss, clear, parameters[] of {parameter, gradient, compiled_error, slope_error},
    /// compiled_error, slope_error, tolerance, passed.
    Gradcheck(GradcheckArgs),
    /// Look at a data set.
    #[command(subcommand)]
    Data(DataCommand),
    /// Write fresh weights.
    ///
    /// JSON: output, tensors, parameters, seed.
    Init(InitArgs),
}

/// A model with its parameters.
#[derive(Args, Clone, Debug)]
pub struct ModelArgs {
    /// The model.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Override a parameter of the model.
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = define)]
    pub define: Vec<(String, String)>,
}

/// Reads `NAME=VALUE`.
fn define(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        Some(_) | None => Err("write NAME=VALUE, for example -D width=16".to_owned()),
    }
}

/// How many threads work.
#[derive(Args, Clone, Debug)]
pub struct ThreadArgs {
    /// Threads; all that the process may use where it is not given. The result does not depend on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl ThreadArgs {
    /// The number of threads.
    pub fn count(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.threads.map_or_else(all, usize::from)
    }
}

/// Arguments of `check`.
#[derive(Args, Debug)]
pub struct CheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,
}

/// What to compile for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ModeArg {
    /// Forward with running statistics.
    Infer,
    /// Forward, loss and backward.
    Train,
    /// One after the other.
    Both,
}

/// Arguments of `compile`.
#[derive(Args, Debug)]
pub struct CompileArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Stages to show: ast, model, ir, ir:after=PASS, kernel, clif, asm, plan, report.
    #[arg(long, value_delimiter = ',', value_name = "STAGE,…")]
    pub emit: Vec<Emit>,
    /// What to compile for.
    #[arg(long, value_enum, default_value_t = ModeArg::Both)]
    pub mode: ModeArg,
    /// Leave passes out that the later ones do not need.
    #[arg(long, value_delimiter = ',', value_name = "PASS,…")]
    pub skip: Vec<String>,
    /// Check the tensor IR after every pass.
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    pub products: ProductArgs,
    /// Use no more memory than this for a batch, as 800M or 4G: in training as much lives on to the backward part as
    /// it allows, and the rest is computed again. Without it as much is computed again as lowers the memory.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// The samples that `--memory` is for, instead of the model's.
    #[arg(long, value_name = "N", requires = "memory", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    #[command(flatten)]
    pub threads: ThreadArgs,
    /// Write each stage to a file of this directory instead of stdout.
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Arguments of `train`.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// `digits`, or a directory with a data set; the model's own where it is not given.
    #[arg(long, value_name = "NAME|DIR")]
    pub data: Option<String>,
    /// Epochs, instead of the model's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Samples of a step, instead of the model's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// The learning rate, instead of the model's.
    #[arg(long, value_name = "RATE", value_parser = rate, allow_negative_numbers = true)]
    pub lr: Option<f64>,
    /// Decides the first weights, the order of the samples and their augmentation; 0 where it is not given.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub products: ProductArgs,
    #[command(flatten)]
    pub threads: ThreadArgs,
    /// The directory of the run, which must not hold one yet; `runs/<name>` with a number where it is not given.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with a run, given its directory; `auto` is the model's newest run, or a new one. What is not given here is
    /// as the run was asked for.
    #[arg(long, value_name = "RUN|auto", conflicts_with = "from")]
    pub resume: Option<PathBuf>,
    /// Begin with the weights of a checkpoint.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Stop after so many epochs, as with Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub stop_after: Option<u32>,
    /// Keep a checkpoint of every so many epochs, `epoch-K.safetensors`.
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub save_every: Option<u32>,
    /// Save the last checkpoint also within an epoch, after so many minutes.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub save_minutes: u32,
    /// Seconds between two lines of progress, where stderr is no terminal.
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub log_seconds: u32,
    /// Use no more memory than this, as 800M or 4G: as much lives on to the backward part as it allows, and the rest is
    /// computed again, to the same bits. Without it as much is computed again as lowers the memory.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory: Option<u64>,
    /// Run one batch forward and backward, tell memory and time, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Use only the first samples of the training part.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Use only the first samples of the test part.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub test_limit: Option<u32>,
}

/// Reads a learning rate.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) | Err(_) => Err("a learning rate is a number, at least 0".to_owned()),
    }
}

/// Reads a number of bytes: `800M`, `4G`, `1000000`.
fn size(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(['B', 'i', 'K', 'M', 'G', 'k']);
    let shift = match text[number.len()..].chars().next() {
        None | Some('B') => 0,
        Some('K' | 'k') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some(_) => return Err("write a size as 800M or 4G".to_owned()),
    };
    let bytes = number.parse::<u64>().ok().filter(|n| *n > 0).and_then(|n| n.checked_mul(1 << shift));
    bytes.ok_or_else(|| "write a size as 800M or 4G".to_owned())
}

/// Arguments of `plot`.
#[derive(Args, Debug)]
pub struct PlotArgs {
    /// The directory of a run.
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Where the drawing goes, an SVG file; `curves.svg` in the run's directory where it is not given.
    #[arg(short = 'o', long = "output", value_name = "FILE.svg")]
    pub output: Option<PathBuf>,
}

/// Arguments of `eval`.
#[derive(Args, Debug)]
pub struct EvalArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The weights, as `train` and `init` write them.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// `digits`, or a directory with a data set; the model's own where it is not given.
    #[arg(long, value_name = "NAME|DIR")]
    pub data: Option<String>,
    /// Samples that are computed together, instead of the model's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    #[command(flatten)]
    pub threads: ThreadArgs,
    /// Use only the first samples of the test part.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
}

/// How often products of a static image are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum StemArg {
    /// Once, as they are computed.
    Once,
    /// At every timestep, as some papers do.
    Repeated,
}

/// What a product of counts is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CountsArg {
    /// Additions, repeated.
    Add,
    /// Multiply-adds.
    Multiply,
}

/// Arguments of `energy`.
#[derive(Args, Debug)]
pub struct EnergyArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The weights, as `train` and `init` write them: spikes are counted on the test part.
    #[arg(long, value_name = "FILE", required_unless_present = "rate", conflicts_with = "rate")]
    pub weights: Option<PathBuf>,
    /// Instead of counting: every product reads spikes at this rate.
    #[arg(long, value_name = "RATE", value_parser = firing_rate, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// `digits`, or a directory of samples; the model's own where it is not given.
    #[arg(long, value_name = "NAME|DIR")]
    pub data: Option<String>,
    /// Samples that are computed together, instead of the model's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    #[command(flatten)]
    pub threads: ThreadArgs,
    /// Use only the first samples of the test part.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// How often products of a static image are counted.
    #[arg(long, value_enum, default_value_t = StemArg::Once)]
    pub stem: StemArg,
    /// What a product of counts is.
    #[arg(long, value_enum, default_value_t = CountsArg::Add)]
    pub counts: CountsArg,
    /// Leave products of real values behind the first layer out, as some papers do.
    #[arg(long)]
    pub ignore_real: bool,
    /// Picojoules of a multiply-add.
    #[arg(long, value_name = "PJ", default_value_t = 4.6, value_parser = picojoules, allow_negative_numbers = true)]
    pub mac_pj: f64,
    /// Picojoules of an addition.
    #[arg(long, value_name = "PJ", default_value_t = 0.9, value_parser = picojoules, allow_negative_numbers = true)]
    pub ac_pj: f64,
    /// What `energy --json` wrote for another network: show the difference.
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

/// Reads an energy.
fn picojoules(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        Ok(_) | Err(_) => Err("an energy is a number, at least 0".to_owned()),
    }
}

/// Arguments of `infer`.
#[derive(Args, Debug)]
pub struct InferArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The weights, as `train` and `init` write them.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Samples, one after the other along the first axis.
    #[arg(long, value_name = "X.npy")]
    pub input: PathBuf,
    /// Where the logits go: f32, samples × classes.
    #[arg(long, value_name = "Y.npy")]
    pub output: PathBuf,
    /// Samples that are computed together, instead of the model's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// Decides the spikes of an input whose encoder draws random numbers; 0, as in evaluation, where it is not given.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub threads: ThreadArgs,
}

/// Arguments of `grad`.
#[derive(Args, Debug)]
pub struct GradArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The weights, as `train` and `init` write them.
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Samples, one after the other along the first axis: one batch.
    #[arg(long, value_name = "X.npy")]
    pub input: PathBuf,
    /// The class of each sample: integers.
    #[arg(long, value_name = "Y.npy")]
    pub labels: PathBuf,
    /// Where the gradients go, each under its parameter's path.
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Where the loss goes: `{"loss": …}`.
    #[arg(long, value_name = "FILE")]
    pub loss_output: Option<PathBuf>,
    /// Decides the spikes of an input whose encoder draws random numbers; 0, as in evaluation, where it is not given.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    pub threads: ThreadArgs,
}

/// Arguments of `gradcheck`.
#[derive(Args, Debug)]
pub struct GradcheckArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// The weights, as `train` and `init` write them; fresh ones where they are not given.
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Random samples of the batch.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub batch: u32,
    /// Decides the samples, their labels, fresh weights and the directions of slopes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// The largest difference that passes, relative to each parameter's gradient.
    #[arg(long, value_name = "X", default_value_t = 1e-3, value_parser = tolerance, allow_negative_numbers = true)]
    pub tolerance: f64,
    #[command(flatten)]
    pub threads: ThreadArgs,
}

/// Reads a tolerance.
fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        Ok(_) | Err(_) => Err("a tolerance is a number above 0".to_owned()),
    }
}

/// What to do with a data set.
#[derive(Subcommand, Debug)]
pub enum DataCommand {
    /// Count a data set, measure it, and draw some of it.
    ///
    /// JSON: name, format, shape, classes[], notes[], train and test of {samples, per_class[]}, mean[] and std[] by
    /// channel before normalisation, measured (samples that these are of), sheet.
    Inspect(InspectArgs),
}

/// How events are divided among frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum SplitByArg {
    /// Equal numbers of events.
    Number,
    /// Equal durations.
    Time,
}

/// Arguments of `data inspect`.
#[derive(Args, Debug)]
pub struct InspectArgs {
    /// `digits`, or a directory with a data set.
    #[arg(value_name = "NAME|DIR")]
    pub data: String,
    /// Frames that events become.
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub frames: Option<u16>,
    /// How events are divided among frames.
    #[arg(long, value_name = "BY", value_enum)]
    pub split_by: Option<SplitByArg>,
    /// A picture of samples, ten of each of the first ten classes.
    #[arg(long, value_name = "OUT.png")]
    pub sheet: Option<PathBuf>,
    /// Take the size of samples and their augmentation from this model; the sheet then shows a sample of each class
    /// as it is, and as nine epochs train on it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["frames", "split_by"])]
    pub model: Option<PathBuf>,
    /// Override a parameter of that model.
    #[arg(short = 'D', value_name = "NAME=VALUE", value_parser = define, requires = "model")]
    pub define: Vec<(String, String)>,
}

/// Arguments of `init`.
#[derive(Args, Debug)]
pub struct InitArgs {
    #[command(flatten)]
    pub model: ModelArgs,
    /// Decides the weights.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the weights go.
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    pub output: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("800M"), size("4GiB"), size("12")), (Ok(800 << 20), Ok(4 << 30), Ok(12)));
        assert_eq!((size("2kB"), size("7B")), (Ok(2048), Ok(7)));
        assert!(
            ["", "M", "0", "-1", "1.5G", "iB", "99999999999G", "4X"]
                .into_iter()
                .all(|bad| size(bad).is_err())
        );
    }

    #[test]
    fn overrides_are_split_at_the_first_equals_sign() {
        assert_eq!(define("data=a=b"), Ok(("data".to_owned(), "a=b".to_owned())));
        assert!(define("width").is_err() && define("=3").is_err());
    }

    #[test]
    fn a_learning_rate_is_finite() {
        assert_eq!(rate("1e-3"), Ok(1e-3));
        assert!(rate("nan").is_err() && rate("-1").is_err() && rate("x").is_err());
    }
}
