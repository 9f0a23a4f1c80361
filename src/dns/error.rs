//! Why a name has no address that may be dialled.

use crate::net::AddressClass;
use crate::reason::Reason;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use std::net::{IpAddr, SocketAddr};

/// Why a name has no address that may be dialled. `Display` names inner addresses: it is for the
/// record and the operator; the agent gets [`detail`](Error::detail).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An address is not public, and the rule names no range with it.
    #[error("the answer holds {address} ({class}), which is in no range that the rule names")]
    NotNamed {
        /// The first such address of the answer.
        address: IpAddr,
        /// What it is.
        class: AddressClass,
    },
    /// An address is of a kind that no rule may dial.
    #[error("the answer holds {address} ({class}), which is dialled for no rule")]
    NeverDialled {
        /// The first such address of the answer.
        address: IpAddr,
        /// What it is.
        class: AddressClass,
    },
    /// The gateway listens there.
    #[error("the gateway itself listens on {address}")]
    OwnListener {
        /// The address and port that would have been dialled.
        address: SocketAddr,
    },
    /// NXDOMAIN.
    #[error("the name does not exist")]
    NoSuchName,
    /// The name exists and has neither A nor AAAA.
    #[error("the name has no address")]
    NoAddress,
    /// SERVFAIL, REFUSED and the like.
    #[error("the name server answered {0}")]
    ServerFailed(ResponseCode),
    /// More aliases than any honest name has.
    #[error("the name is an alias of more than {0} others")]
    LongChain(usize),
    /// No name server could be reached, or what it sent is no DNS.
    #[error("{0}")]
    Broken(String),
    /// No answer in time, or too many others were waiting for theirs.
    #[error("no answer in time")]
    Timeout,
    /// The settings give no resolver.
    #[error("the resolver can't be set up: {0}")]
    Setup(String),
}

impl Error {
    /// The reason of the refusal.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Error::NotNamed { .. } | Error::NeverDialled { .. } => Reason::AddressForbidden,
            Error::OwnListener { .. } => Reason::SelfConnection,
            Error::NoSuchName
            | Error::NoAddress
            | Error::ServerFailed(_)
            | Error::LongChain(_)
            | Error::Broken(_)
            | Error::Setup(_) => Reason::DnsFailed,
            Error::Timeout => Reason::DnsTimeout,
        }
    }

    /// What the agent may read: the kind of an address, never the address, and nothing that a name
    /// server made up.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Error::NotNamed { class, .. } => format!("The name leads to an address of the kind: {class}."),
            Error::NeverDialled { class, .. } => {
                format!("The name leads to an address of the kind: {class}. No rule can allow that.")
            }
            Error::OwnListener { .. } => "The gateway itself listens there.".to_owned(),
            Error::NoSuchName => "The name does not exist.".to_owned(),
            Error::NoAddress => "The name has no address.".to_owned(),
            Error::ServerFailed(_) | Error::LongChain(_) | Error::Broken(_) | Error::Setup(_) => {
                "The name servers gave no usable answer.".to_owned()
            }
            Error::Timeout => "The name servers did not answer in time.".to_owned(),
        }
    }

    /// Of the errors of two families the one to tell: what may pass later before what is final.
    pub(super) fn or(self, other: Self) -> Self {
        let weight = |error: &Error| match error {
            Error::Timeout => 4,
            Error::NoSuchName => 1,
            Error::NoAddress => 0,
            _ => 2,
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
}

impl From<NetError> for Error {
    fn from(error: NetError) -> Self {
        match error {
            NetError::Timeout => Error::Timeout,
            NetError::Dns(DnsError::ResponseCode(code)) => Error::ServerFailed(code),
            NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. })) => match response_code {
                ResponseCode::NXDomain => Error::NoSuchName,
                ResponseCode::NoError => Error::NoAddress,
                code => Error::ServerFailed(code),
            },
            error => Error::Broken(error.to_string()),
        }
    }
}
