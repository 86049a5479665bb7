//! By which names this server is asked for, while whoever reaches it may do everything.
//!
//! Without keys it listens on loopback, where any page that a browser opens could reach it under a name of its own that is
//! made to mean this machine (DNS rebinding). Such a name is one of the public ones: it has a dot and is no address.

use super::Api;
use super::problem::{Code, Problem, Result};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, header};
use std::net::IpAddr;

/// While no key is needed: 421 for a host that is no address, no name without a dot, none below `localhost` and not that of
/// a listed origin. With keys any name will do.
pub async fn check(api: &Api, headers: &HeaderMap) -> Result<()> {
    let Some(host) = headers.get(header::HOST) else { return Ok(()) };
    if is_known(host.as_bytes(), &api.node.allowed_origins) || api.keys.anybody().await.is_err() {
        return Ok(());
    }
    let detail = "while no key is needed, only localhost, addresses and the hosts of allowed origins are answered for";
    Err(Problem::new(Code::MisdirectedRequest, detail))
}

fn is_known(host: &[u8], origins: &[String]) -> bool {
    let name = |authority: &str| Some(authority.parse::<Authority>().ok()?.host().to_ascii_lowercase());
    let Some(host) = std::str::from_utf8(host).ok().and_then(name) else { return false };
    let listed = || origins.iter().filter_map(|origin| name(origin.split_once("://")?.1)).any(|origin| origin == host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    !host.contains('.') || host.ends_with(".localhost") || bare.parse::<IpAddr>().is_ok() || listed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_name_is_known_only_if_it_is_listed() {
        let origins = ["https://errand.example.com".to_owned(), "http://localhost:3000".to_owned()];
        for host in [
            "localhost:8080",
            "127.0.0.1",
            "[::1]:8080",
            "192.168.0.7:80",
            "errand",
            "app.localhost",
            "Errand.Example.Com:443",
        ] {
            assert!(is_known(host.as_bytes(), &origins), "{host}");
        }
        for host in [
            "rebind.example:8080",
            "127.0.0.1.example.com",
            "localhost.example.com",
            "a b",
            "",
            "x.y@errand.z",
            "\u{e9}.com",
        ] {
            assert!(!is_known(host.as_bytes(), &origins), "{host}");
        }
        assert!(!is_known(b"errand.example.com", &[]));
    }
}
