//! Proxies as the application wants them.

use std::sync::Arc;

use super::Connector;
use crate::dial::Via;
use crate::dial::proxy::ProxyPolicy;

impl Connector {
    /// Through a proxy; none unless told. What the environment says is read here, once.
    #[must_use]
    pub fn proxy(mut self, policy: ProxyPolicy) -> Self {
        self.dialler.via = policy.into_via().map(|via| Arc::new(via) as Arc<dyn Via>);
        self
    }
}
