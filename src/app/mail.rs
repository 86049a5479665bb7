//! How mails leave, from the settings.

use crate::config::{self, Config, MailTls};
use crate::types::{Encryption, MailServer, Mailing, Pictures, Types};

/// The task types of this process. What is sent in the clear is told.
pub fn types(config: &Config) -> Types {
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
        }
    });
    Types::having(mailing, Pictures::in_children(config::own_binary(), &[config::PICTURES]))
}
