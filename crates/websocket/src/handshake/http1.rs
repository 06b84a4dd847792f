//! HTTP/1.1 heads (RFC 9112): read strictly and in linear time, written in the spelling of the RFCs.
//!
//! [`HeadReader`] takes bytes as they come, looks at each of them once, and hands over an [`http::Request`] or
//! [`http::Response`] when the empty line has come. A client that waits for its answer uses [`ResponseReader`], which
//! steps over interim responses. [`write_request`] and [`write_response`] go the other way.

mod read;
mod response;
mod scan;
mod write;

pub use read::{HeadLimits, HeadReader};
pub use response::{INTERIM_RESPONSES, ResponseReader};
pub use scan::EMPTY_LINES;
pub use write::{write_request, write_response};
