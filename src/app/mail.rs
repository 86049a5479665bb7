//! How mails leave, from the settings.

use super::Failure;
use crate::config::{self, Config, MailTls};
use crate::types::{Encryption, MailProgram, MailServer, Mailing, Pictures, Types};

/// The task types of this process, `own` ones among them. What is sent in the clear is told. A type that there is none of is not to be approved:
/// its tasks, spelled as they are, would run without.
pub fn types(config: &Config, own: Types) -> Result<Types, Failure> {
    let mut mailing = Mailing::to_files();
    if let Some(from) = &config.mail_from {
        mailing.from = from.clone();
    }
    mailing.server = config.mail_server.as_ref().map(|server| {
        if server.tls == MailTls::No && !server.is_local() {
            tracing::warn!(
                "mails go to {} unencrypted: ?tls=required in ERRAND_SMTP_URL demands STARTTLS",
                server.host
            );
        }
        MailServer {
            host: server.host.clone(),
            port: server.port,
            account: server.account.clone(),
            encryption: match server.tls {
                MailTls::No => Encryption::None,
                MailTls::Starttls => Encryption::Starttls,
                MailTls::Implicit => Encryption::Implicit,
            },
            program: MailProgram {
                path: config::own_binary(),
                arguments: vec![config::MAIL_ROOM.to_owned()],
                environment: config::trust(),
            },
        }
    });
    let types = Types::having(mailing, Pictures::in_children(config::own_binary(), &[config::PICTURES])).with(own);
    match config.approve_types.iter().find(|name| types.get(name).is_none()) {
        Some(name) => Err(Failure::Usage(format!(
            "ERRAND_APPROVE_TYPES: there is no task type {}; the types are {}",
            name.escape_debug(),
            types.names().join(", ")
        ))),
        None => Ok(types.approving(&config.approve_types)),
    }
}
