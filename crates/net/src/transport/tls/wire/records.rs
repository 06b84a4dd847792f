//! What rustls makes of records, and room for those it writes.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, Error as Rustls};

/// A record's header, tag and type, with room to spare.
const OVERHEAD: usize = 64;
const RECORD: usize = 16 << 10;

/// One end's state of TLS.
pub(in crate::transport::tls) trait Records {
    type Data;
    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn state(&self) -> &CommonState;
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }

    fn state(&self) -> &CommonState {
        self
    }
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, input: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(input)
    }

    fn state(&self) -> &CommonState {
        self
    }
}

pub(super) fn encode<D>(data: &mut EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), Rustls> {
    let at = out.len();
    let mut room = 0;
    loop {
        out.resize(at + room, 0);
        match data.encode(&mut out[at..]) {
            Ok(written) => {
                out.truncate(at + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => return Err(Rustls::General(error.to_string())),
        }
    }
}

pub(super) fn close_notify<D>(traffic: &mut WriteTraffic<'_, D>, out: &mut Vec<u8>) -> Result<(), Rustls> {
    encrypt(out, 0, |out| traffic.queue_close_notify(out))
}

/// Lets `write` write behind what is in `out`, with as much room as it asks for.
pub(super) fn encrypt(
    out: &mut Vec<u8>,
    length: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), Rustls> {
    let at = out.len();
    let mut room = length + (length / RECORD + 2) * OVERHEAD;
    loop {
        out.resize(at + room, 0);
        match write(&mut out[at..]) {
            Ok(written) => {
                out.truncate(at + written);
                return Ok(());
            }
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size }))
                if required_size > room =>
            {
                room = required_size;
            }
            Err(error) => {
                out.truncate(at);
                return Err(Rustls::General(error.to_string()));
            }
        }
    }
}
