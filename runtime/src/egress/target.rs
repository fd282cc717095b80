//! Private targets: the addresses of the own networks that an operator opens, port by port.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Host;

/// A place in an own network that the gateway may reach, for example a model server on the
/// premises. It lifts the refusal of loopback, private and carrier-grade NAT addresses, no other,
/// and replaces no grant.
///
/// Text forms: `127.0.0.1:8080`, `10.0.0.0/8:443`, `[::1]:8080`, `[fd00::/8]:443`, and
/// `models.internal:8000` for whatever own address that name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateTarget {
    place: Place,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Net(IpNet),
    Name(String),
}

impl PrivateTarget {
    /// The addresses of one network on one port.
    pub fn net(net: IpNet, port: u16) -> Self {
        Self { place: Place::Net(net.trunc()), port }
    }

    /// Whether it covers a request for `host` that goes to `address`.
    pub(super) fn covers<S: AsRef<str>>(&self, host: &Host<S>, address: IpAddr, port: u16) -> bool {
        let place = match (&self.place, host) {
            (Place::Net(net), _) => net.contains(&address),
            (Place::Name(name), Host::Domain(host)) => name == host.as_ref(),
            (Place::Name(_), _) => false,
        };
        place && self.port == port
    }
}

impl fmt::Display for PrivateTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Net(IpNet::V4(net)) => write!(f, "{net}:{}", self.port),
            Place::Net(IpNet::V6(net)) => write!(f, "[{net}]:{}", self.port),
            Place::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// A text that is no private target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a private target; write host:port, 10.0.0.0/8:port or [fd00::/8]:port")]
pub struct PrivateTargetError(pub String);

impl FromStr for PrivateTarget {
    type Err = PrivateTargetError;

    fn from_str(text: &str) -> Result<Self, PrivateTargetError> {
        parse(text).ok_or_else(|| PrivateTargetError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<PrivateTarget> {
    let (place, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|&port| port != 0)?;
    let place = match place.strip_prefix('[').and_then(|place| place.strip_suffix(']')) {
        Some(v6) => Place::Net(net(v6).filter(|net| matches!(net, IpNet::V6(_)))?),
        None if place.contains('/') => Place::Net(net(place).filter(|net| matches!(net, IpNet::V4(_)))?),
        None if place.contains('*') => return None,
        None => match Host::parse(place).ok()? {
            Host::Domain(name) => Place::Name(name),
            Host::Ipv4(address) => Place::Net(IpAddr::V4(address).into()),
            Host::Ipv6(_) => return None,
        },
    };
    Some(PrivateTarget { place, port })
}

fn net(text: &str) -> Option<IpNet> {
    let net: IpNet = if text.contains('/') { text.parse().ok()? } else { text.parse::<IpAddr>().ok()?.into() };
    Some(net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, host: &str, address: &str, port: u16, expect: bool) {
        let target: PrivateTarget = text.parse().expect("the target is valid");
        let host = Host::parse(host).expect("the host is valid");
        let address = address.parse().expect("the address is valid");
        assert_eq!(target.covers(&host, address, port), expect, "{text} {host} {address} {port}");
    }

    #[test]
    fn a_target_covers_its_place_and_port_only() {
        check("127.0.0.1:80", "127.0.0.1", "127.0.0.1", 80, true);
        check("127.0.0.1:80", "127.0.0.1", "127.0.0.1", 81, false);
        check("127.0.0.1:80", "127.0.0.2", "127.0.0.2", 80, false);
        check("127.0.0.1:80", "a.test", "127.0.0.1", 80, true);
        check("10.1.0.0/16:443", "a.test", "10.1.255.1", 443, true);
        check("10.1.0.0/16:443", "a.test", "10.2.0.1", 443, false);
        check("[fd00::/8]:443", "a.test", "fd12::1", 443, true);
        check("[::1]:80", "[::1]", "::1", 80, true);
        check("models.internal:8000", "models.internal", "10.0.0.1", 8000, true);
        check("MODELS.internal:8000", "models.internal", "10.0.0.1", 8000, true);
        check("models.internal:8000", "x.models.internal", "10.0.0.1", 8000, false);
        check("models.internal:8000", "10.0.0.1", "10.0.0.1", 8000, false);
    }

    #[test]
    fn a_target_reads_back_as_written() {
        for text in ["127.0.0.1/32:80", "10.0.0.0/8:443", "[fd00::/8]:443", "models.internal:8000"] {
            let target: PrivateTarget = text.parse().expect("the target is valid");
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_target() {
        for text in ["", "a.test", "a.test:", "a.test:0", "a.test:70000", "::1:80", "10.0.0.0/33:80", "[10.0.0.0/8]:80", "*:80", "a b:80"] {
            assert!(text.parse::<PrivateTarget>().is_err(), "{text}");
        }
    }
}
