//! `trunkline check`: all that is wrong with the configuration, at once.

use crate::args::Check;
use crate::exit::{Exit, Failure, Outcome};
use crate::{output, settings};

pub(crate) fn run(args: Check) -> Outcome {
    let file = settings::file(args.config);
    let (report, exit) = match settings::load(file.as_deref(), &[]) {
        Ok(_) => ("no problems".to_owned(), Exit::Clean),
        Err(problems) => (problems.to_string(), Exit::Unclean),
    };
    output::line(report).map_err(Failure::unclean)?;
    Ok(exit)
}
