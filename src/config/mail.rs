//! The mail server by its URL, and who writes.

use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use std::fmt;
use std::net::IpAddr;

/// A mail server. Its `Debug` hides the password.
#[derive(Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is encrypted.
    pub tls: MailTls,
    /// Name and password to sign in with.
    pub account: Option<(String, String)>,
}

/// How the way to a mail server is encrypted. There is nothing between: where it is demanded and cannot be had,
/// no mail is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// Not at all.
    No,
    /// By STARTTLS, before anything else is said.
    Starttls,
    /// From the first byte.
    Implicit,
}

impl fmt::Debug for MailServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let account = self.account.as_ref().map(|(user, _)| format!("{user}:***@")).unwrap_or_default();
        write!(f, "{account}{}:{} {:?}", self.host, self.port, self.tls)
    }
}

impl MailServer {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        let ip = |host: &str| host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        self.host == "localhost" || ip(&self.host)
    }
}

/// Ports when the URL names none: 465 for `smtps`, 587 with STARTTLS, else 25.
pub(super) fn server(text: &str) -> Result<Option<MailServer>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let allowed =
        "must be smtps://USER:PASSWORD@HOST:PORT, or smtp:// with ?tls=required at its end to demand STARTTLS";
    let url = Url::parse(text).ok().filter(|url| url.has_host() && matches!(url.path(), "" | "/"));
    let url = url.filter(|url| url.fragment().is_none()).ok_or(allowed)?;
    let (tls, usual) = match (url.scheme(), url.query()) {
        ("smtps", None | Some("tls=required")) => (MailTls::Implicit, 465),
        ("smtp", Some("tls=required")) => (MailTls::Starttls, 587),
        ("smtp", None) => (MailTls::No, 25),
        _ => return Err(allowed.to_owned()),
    };
    let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).ok();
    let plain = |text: &String| !text.chars().any(char::is_control);
    let account = match (decoded(url.username()), decoded(url.password().unwrap_or_default())) {
        (Some(user), Some(password)) if user.is_empty() && password.is_empty() => None,
        (Some(user), Some(password)) if plain(&user) && plain(&password) && !user.is_empty() => Some((user, password)),
        _ => return Err(allowed.to_owned()),
    };
    let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port().unwrap_or(usual));
    let server = MailServer { host, port, tls, account };
    if server.tls == MailTls::No && server.account.is_some() && !server.is_local() {
        return Err("would send the password in the clear: add ?tls=required, or write smtps://".to_owned());
    }
    Ok(Some(server))
}

pub(super) fn from(text: &str) -> Result<Option<Mailbox>, String> {
    let plain = |mailbox: &Mailbox| !text.chars().any(char::is_control) && mailbox.email.to_string().is_ascii();
    let problem = || "must be a mail address, as errand@example.org or Errand <errand@example.org>".to_owned();
    match text.is_empty() {
        true => Ok(None),
        false => text.parse().ok().filter(plain).map(Some).ok_or_else(problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_says_how_the_way_to_it_is_encrypted() {
        let of = |text: &str| {
            let server = server(text).unwrap().unwrap();
            (server.host, server.port, server.tls, server.account)
        };
        let account = Some(("me@example.org".to_owned(), "p/w@".to_owned()));
        let host = || "mail.example.org".to_owned();
        assert_eq!(of("smtps://me%40example.org:p%2Fw%40@mail.example.org"), (host(), 465, MailTls::Implicit, account));
        assert_eq!(of("smtp://mail.example.org?tls=required"), (host(), 587, MailTls::Starttls, None));
        assert_eq!(of("smtp://mail.example.org:2525/"), (host(), 2525, MailTls::No, None));
        assert_eq!(server(""), Ok(None));
        assert!(server("smtp://me:pw@127.0.0.1:1025").is_ok() && server("smtp://me:pw@[::1]").is_ok());
    }

    #[test]
    fn what_is_no_mail_server_or_would_show_its_password_is_refused() {
        for bad in [
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp://mail.example.org?tls=opportunistic",
            "smtp://mail.example.org?TLS=required",
            "smtp://mail.example.org/path",
            "smtps://:pw@mail.example.org",
            "smtps://me%0d%0a:pw@mail.example.org",
            "smtp://me:pw@mail.example.org",
        ] {
            let error = server(bad).expect_err(bad);
            assert!(!error.contains("me:pw"), "{error}");
        }
        let shown = format!("{:?}", server("smtps://me:secret@mail.example.org").unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn who_writes_is_an_address_with_or_without_a_name() {
        assert_eq!(from("Errand <errand@example.org>").unwrap().unwrap().email.to_string(), "errand@example.org");
        assert_eq!(from(""), Ok(None));
        for bad in ["errand", "a@b.org\r\nBcc: c@d.org", "a@b.org, c@d.org", "ü@example.org"] {
            assert!(from(bad).is_err(), "{bad:?}");
        }
    }
}
