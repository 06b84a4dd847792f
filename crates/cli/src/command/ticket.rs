//! `trunkline ticket`: mints a ticket through the API and prints it, alone.

use crate::api::{Api, TicketRequest};
use crate::args::Ticket;
use crate::exit::{Exit, Failure, Outcome};
use crate::output;

pub(crate) async fn run(args: Ticket) -> Outcome {
    let api = Api::new(&args.api)?;
    let request = TicketRequest::new(args.user, args.terms)?;
    let ticket = api.mint(&request).await?;
    output::line(ticket).map_err(Failure::unclean)?;
    Ok(Exit::Clean)
}
