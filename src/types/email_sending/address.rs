//! What is taken as a mail address: one judge for params, tables and settings.

use lettre::Address;

/// No address is longer (RFC 5321).
const MAX_BYTES: usize = 254;
/// Nor is what stands before the `@`.
const MAX_LOCAL_BYTES: usize = 64;

/// The address that `text` is, its domain as DNS has it (`xn--…`). An error is the second half of a sentence. Quoted
/// names, addresses of machines (`a@[127.0.0.1]`) and hosts without a domain (`a@localhost`) are none: nobody writes
/// to them but by mistake, or to reach what is not meant to be reached.
pub fn parse(text: &str) -> Result<Address, String> {
    let none = || "is no mail address, as ann@example.org".to_owned();
    let (local, domain) = text.rsplit_once('@').ok_or_else(none)?;
    let odd = |c: char| c.is_control() || c.is_whitespace() || "\"\\,:;<>()[]@".contains(c);
    if text.len() > MAX_BYTES || local.len() > MAX_LOCAL_BYTES || local.chars().any(odd) || domain.chars().any(odd) {
        return Err(none());
    }
    let domain = idna::domain_to_ascii(domain).map_err(|_| none())?;
    let labels: Vec<&str> = domain.split('.').collect();
    let label = |label: &&str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = labels.last().copied().unwrap_or_default();
    if !labels.iter().all(label) || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(none());
    }
    if labels.len() < 2 || last == "localhost" {
        return Err("must have a domain with a dot, as example.org: mail to a bare host is not sent".to_owned());
    }
    Address::new(local, &domain).map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_name_and_a_domain() {
        for (text, address) in [
            ("ann@example.org", "ann@example.org"),
            ("ann+news@mail.example.co.uk", "ann+news@mail.example.co.uk"),
            ("Ann@exämple.test", "Ann@xn--exmple-cua.test"),
            ("ünal@example.org", "ünal@example.org"),
        ] {
            assert_eq!(parse(text).unwrap().as_ref() as &str, address);
        }
    }

    #[test]
    fn what_could_be_another_command_or_another_host_is_none() {
        let (long, long_name) = (format!("a@{}.org", "x.".repeat(200)), format!("{}@example.org", "x".repeat(65)));
        for text in [
            "a@b.org\r\nRCPT TO:<x@y.org>",
            "a@b.org\n",
            " a@b.org",
            "a,b@c.org",
            "a@b.org,c@d.org",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@localhost",
            "a@db.localhost",
            "a@intranet",
            "@",
            "a@",
            "@b.org",
            "a",
            "",
            "a@b@c.org",
            "<a@b.org>",
            "\"a b\"@c.org",
            "a@b..org",
            "a@-b.org",
            "a.@b.org",
            "a\0@b.org",
            &long,
            &long_name,
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
