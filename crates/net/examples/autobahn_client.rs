//! The client that the Autobahn test suite's fuzzing server talks to.
//!
//! `autobahn_client URL [AGENT]`: asks how many cases there are, echoes through each, has the report written.

use std::process::ExitCode;
use std::sync::Arc;

use trunkline_net::{CloseCode, Connector, DeflateConfig, Error, Limits};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let Some(url) = arguments.next() else {
        eprintln!("usage: autobahn_client URL [AGENT]");
        return ExitCode::from(2);
    };
    let agent = arguments.next().unwrap_or_else(|| "trunkline".to_owned());
    match run(url.trim_end_matches('/'), &agent).await {
        Ok(cases) => {
            println!("{cases} cases");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str, agent: &str) -> Result<u32, Box<dyn std::error::Error>> {
    // The suite sends messages of 16 MiB and messages of 65,536 fragments.
    let limits = Arc::new(Limits { message: 16 << 20, fragments: 65_536, ..Limits::default() });
    let connector = Connector::default().limits(limits).deflate(DeflateConfig::default());
    let cases = count(&connector, url).await?;
    for case in 1..=cases {
        // How a case ends is for the suite to judge; most of them break the protocol on purpose.
        if let Err(error) = echo(&connector, &format!("{url}/runCase?case={case}&agent={agent}")).await {
            eprintln!("case {case}: {error}");
        }
    }
    let mut report = connector.connect(&format!("{url}/updateReports?agent={agent}")).await?;
    while report.recv().await.is_some() {}
    Ok(cases)
}

async fn count(connector: &Connector, url: &str) -> Result<u32, Box<dyn std::error::Error>> {
    let mut socket = connector.connect(&format!("{url}/getCaseCount")).await?;
    let count = socket.recv().await.ok_or("the suite closed before it said how many cases there are")??;
    let count = count.as_text().ok_or("the number of cases is not text")?.parse()?;
    socket.close(CloseCode::NORMAL, "").await?;
    Ok(count)
}

async fn echo(connector: &Connector, url: &str) -> Result<(), Error> {
    let mut socket = connector.connect(url).await?;
    while let Some(message) = socket.recv().await {
        socket.send(message?).await?;
    }
    Ok(())
}
