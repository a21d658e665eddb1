//! Where events may go: URLs below those of an allow list, on hosts whose every address may be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use url::{Host, Position, Url};

/// What may be reached. Without a prefix it is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// URLs below which targets may be.
    pub allow: Vec<Prefix>,
    /// Networks that may be reached although the world can't reach them.
    pub private: Vec<Network>,
}

/// A URL that targets may be below: its scheme, host and port, and whole segments of its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Url);

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// Why a target is not sent to. A caller hears one word for all of them: the answers must be no way to look around.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No URL, or one with parts that a target does not have.
    #[error("the target is not an https URL without user and fragment")]
    Url,
    /// Below no prefix.
    #[error("the target is below no prefix of push.allow")]
    NotAllowed,
    /// Its host has no address.
    #[error("the target's host has no address")]
    NoAddress,
    /// One of its addresses may not be reached.
    #[error("the target's host is at {0}, which is not to be reached")]
    Address(IpAddr),
    /// What is to be shown there is no header field.
    #[error("token, scheme or credentials can't stand in a header field")]
    Header,
    /// There is no URL to be made of it.
    #[error("the configuration can't be written for the agent")]
    Unwritable,
    /// The token that asks names itself and its actors at greater length than fits into a URL.
    #[error("the token's jti and actors are longer than {max} bytes")]
    Names {
        /// The limit.
        max: usize,
    },
    /// More than fits into a URL.
    #[error("the configuration is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
}

/// A text that is no prefix, or no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// No prefix.
    #[error("not an https URL without user, query and fragment")]
    Prefix,
    /// No network.
    #[error("not a network, whose address ends in zeros")]
    Network,
}

impl Targets {
    /// Whether nothing may be sent anywhere.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty()
    }

    /// Reads a target, which the list has to allow.
    ///
    /// # Errors
    /// [`TargetError::Url`], [`TargetError::NotAllowed`].
    pub fn allowed(&self, text: &str) -> Result<Url, TargetError> {
        let url = Url::parse(text).map_err(|_| TargetError::Url)?;
        let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
        let askable = http::Uri::try_from(&url[Position::BeforePath..Position::AfterQuery]).is_ok();
        if !plain || !askable || url.scheme() != "https" || url.host().is_none() || is_ambiguous(url.path()) {
            return Err(TargetError::Url);
        }
        if self.allow.iter().any(|prefix| prefix.covers(&url)) {
            Ok(url)
        } else {
            Err(TargetError::NotAllowed)
        }
    }

    /// The addresses of a target, looked up now. One that may not be reached spoils all: who answers for the name would
    /// choose among them.
    ///
    /// # Errors
    /// [`TargetError::NoAddress`], [`TargetError::Address`].
    pub async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, TargetError> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => {
                tokio::net::lookup_host((name, port)).await.map_err(|_| TargetError::NoAddress)?.collect()
            }
            None => Vec::new(),
        };
        if found.is_empty() {
            return Err(TargetError::NoAddress);
        }
        match found.iter().find(|address| !self.may_reach(address.ip())) {
            Some(bad) => Err(TargetError::Address(bad.ip())),
            None => Ok(found),
        }
    }

    /// Whether an address is the world's, or in a network that was named.
    fn may_reach(&self, address: IpAddr) -> bool {
        let address = address.to_canonical(); // `::ffff:10.0.0.1` is 10.0.0.1.
        let narrow = NARROW.iter().find(|network| network.has(address));
        let named = |network: &&Network| {
            network.has(address)
                && narrow.is_none_or(|narrow| narrow.has(network.address) && network.bits >= narrow.bits)
        };
        is_global(address) || self.private.iter().any(|network| named(&network))
    }
}

/// Link-local networks, where clouds keep the credentials of their machines: a network of the configuration opens them
/// only if it lies within, so that nobody does by a wide one.
const NARROW: [Network; 6] = [
    Network { address: IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), bits: 16 },
    Network { address: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), bits: 10 },
    Network { address: IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), bits: 128 },
    Network { address: IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)), bits: 128 },
    Network { address: IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), bits: 32 },
    Network { address: IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)), bits: 32 },
];

/// Whether an address is one host's in the world (IANA's registries of special-purpose addresses). What leads elsewhere by
/// translation or a tunnel is not.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !matches!(
            address.octets(),
            [0 | 10 | 127 | 224..=255, ..]
                | [100, 64..=127, ..]
                | [169, 254, ..]
                | [172, 16..=31, ..]
                | [192, 0, 0 | 2, _]
                | [192, 88, 99, _]
                | [192, 168, ..]
                | [198, 18 | 19, ..]
                | [198, 51, 100, _]
                | [203, 0, 113, _]
        ),
        IpAddr::V6(address) => match address.segments() {
            [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
            [first, ..] => first & 0xe000 == 0x2000,
        },
    }
}

/// Whether servers read the path in several ways: an encoded slash, or dots with parameters.
fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let dots = |segment: &str| {
        let name = segment.split(';').next().unwrap_or_default().replace("%2e", ".");
        name != segment && matches!(name.as_str(), "." | "..")
    };
    ["%2f", "%5c", "%00", "\\"].iter().any(|odd| lower.contains(odd)) || lower.split('/').any(dots)
}

impl Prefix {
    fn covers(&self, url: &Url) -> bool {
        let place = |url: &Url| (url.host().map(|host| host.to_owned()), url.port_or_known_default());
        let segments = |url: &Url| url.path().split('/').map(str::to_owned).collect::<Vec<_>>();
        let (mut below, path) = (segments(&self.0), segments(url));
        below.pop_if(|last| last.is_empty()); // A slash at the end says no more than none.
        self.0.scheme() == url.scheme() && place(&self.0) == place(url) && path.starts_with(&below)
    }
}

impl FromStr for Prefix {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let url = Url::parse(text).map_err(|_| Malformed::Prefix)?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let good = plain && url.password().is_none() && url.scheme() == "https" && !is_ambiguous(url.path());
        if good && url.host().is_some() { Ok(Self(url)) } else { Err(Malformed::Prefix) }
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same_bits(own.to_bits().into(), other.to_bits().into(), self.bits, 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same_bits(own.to_bits(), other.to_bits(), self.bits, 128),
            _ => false,
        }
    }
}

fn same_bits(one: u128, other: u128, bits: u8, of: u8) -> bool {
    let rest = u32::from(of.saturating_sub(bits));
    (one ^ other).checked_shr(rest).unwrap_or_default() == 0
}

impl FromStr for Network {
    type Err = Malformed;

    /// As `10.0.0.0/8`; one address alone is a network of itself.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| Malformed::Network)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| Malformed::Network)?;
        let network = Self { address, bits };
        let first = match address {
            IpAddr::V4(own) => u128::from(own.to_bits()),
            IpAddr::V6(own) => own.to_bits(),
        };
        let rest =
            1_u128.checked_shl(u32::from(most.saturating_sub(bits))).unwrap_or_default().wrapping_sub(1);
        let mapped = matches!(address, IpAddr::V6(own) if own.to_ipv4_mapped().is_some());
        if bits <= most && first & rest == 0 && !mapped { Ok(network) } else { Err(Malformed::Network) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends by panicking")]
    use super::*;

    fn targets(allow: &[&str], private: &[&str]) -> Targets {
        Targets {
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
            private: private.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn a_target_is_below_a_prefix_by_host_port_and_whole_segments() {
        let targets = targets(&["https://hooks.example/a/b", "https://plain.example:8443"], &[]);
        for good in [
            "https://hooks.example/a/b",
            "https://HOOKS.example:443/a/b/",
            "https://hooks.example/a/b/c?x=1",
            "https://plain.example:8443",
            "https://plain.example:8443/anything",
            "https://hooks.example/x/../a/b",
        ] {
            assert!(targets.allowed(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("https://hooks.example/a/bc", TargetError::NotAllowed),
            ("https://hooks.example/a", TargetError::NotAllowed),
            ("https://hooks.example/a/b/../c", TargetError::NotAllowed),
            ("https://hooks.example/a/b/%2e%2e/c", TargetError::NotAllowed),
            ("https://hooks.example/A/b", TargetError::NotAllowed),
            ("https://hooks.example.org/a/b", TargetError::NotAllowed),
            ("https://hooks.example:8443/a/b", TargetError::NotAllowed),
            ("https://plain.example/", TargetError::NotAllowed),
            ("http://hooks.example/a/b", TargetError::Url),
            ("https://me@hooks.example/a/b", TargetError::Url),
            ("https://hooks.example/a/b#c", TargetError::Url),
            ("https://hooks.example/a/b/..%2fc", TargetError::Url),
            ("https://hooks.example/a/b/..;/c", TargetError::Url),
            ("https://hooks.example/a/b/%2E%2e;x/c", TargetError::Url),
            ("hooks.example/a/b", TargetError::Url),
            ("", TargetError::Url),
        ] {
            assert_eq!(targets.allowed(bad), Err(why), "{bad}");
        }
        assert!(
            Targets::default().allowed("https://hooks.example/a/b").is_err(),
            "nothing is allowed by default"
        );
    }

    #[test]
    fn an_address_is_the_worlds_or_in_a_network_that_was_named() {
        let nowhere = targets(&[], &[]);
        for good in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2001:4860::1"] {
            assert!(nowhere.may_reach(good.parse().unwrap()), "{good}");
        }
        let special = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.1.2.3",
            "::10.1.2.3",
            "64:ff9b::a01:203",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:a01:203::1",
            "3fff::1",
            "100::1",
            "5f00::1",
        ];
        for bad in special {
            assert!(!nowhere.may_reach(bad.parse().unwrap()), "{bad}");
        }
        let some = targets(&[], &["10.1.0.0/16", "fd00::/8", "::1"]);
        for (address, may) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd12::1", true),
            ("fc00::1", false),
            ("::1", true),
            ("127.0.0.1", false),
            ("fd00:ec2::254", false),
        ] {
            assert_eq!(some.may_reach(address.parse().unwrap()), may, "{address}");
        }
        let wide = targets(&[], &["0.0.0.0/0", "::/0"]);
        assert!(wide.may_reach("10.1.2.3".parse().unwrap()));
        for link_local in ["169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            assert!(!wide.may_reach(link_local.parse().unwrap()), "no wide network opens {link_local}");
        }
        let narrow = targets(&[], &["169.254.169.0/24"]);
        assert!(narrow.may_reach("169.254.169.254".parse().unwrap()));
        assert!(!narrow.may_reach("169.254.1.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn an_address_may_be_written_in_any_way() {
        let all = targets(&["https://127.0.0.1", "https://2130706433", "https://[::ffff:127.0.0.1]"], &[]);
        for text in
            ["https://127.1/", "https://0x7f.0.0.1/", "https://2130706433/", "https://[::ffff:7f00:1]/"]
        {
            let url = all.allowed(text).unwrap();
            assert!(matches!(all.addresses(&url).await, Err(TargetError::Address(_))), "{text}");
        }
    }

    #[test]
    fn a_network_has_zeros_behind_its_bits() {
        for bad in
            ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "x", "::ffff:10.0.0.0/104", "fd00::1/8", "0.0.0.0/-1"]
        {
            assert_eq!(bad.parse::<Network>(), Err(Malformed::Network), "{bad}");
        }
        for good in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "10.0.0.1", "fd00::1/128"] {
            good.parse::<Network>().unwrap();
        }
    }
}
