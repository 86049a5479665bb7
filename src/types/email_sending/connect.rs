//! From a server's name to a connection that takes mails.

use super::server::{Encryption, Way};
use super::smtp::Fault;
use super::stream::{Bounded, Encrypted};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// Connects, encrypts as the settings say, and signs in. Each step has its time.
pub async fn connect(way: &Way, tls: Option<&TlsParameters>) -> Result<AsyncSmtpConnection, Fault> {
    let patience = &way.patience;
    let hello = ClientId::Domain(way.hello.clone());
    let (stream, address) = reach(way).await?;
    let stream: Box<dyn AsyncTokioStream> = match tls.filter(|_| way.encryption == Encryption::Implicit) {
        Some(tls) => encrypt(Box::new(stream), address, tls.clone(), patience.connect).await?,
        None => Box::new(stream),
    };
    let greeted = within(patience.command, AsyncSmtpConnection::connect_with_transport(stream, &hello)).await;
    let mut connection = greeted?.map_err(|error| Fault::of("greet us", &error))?;
    if let Some(tls) = tls.filter(|_| way.encryption == Encryption::Starttls) {
        if !connection.can_starttls() {
            let message = "the mail server offers no STARTTLS, which is demanded: nothing was sent";
            return Err(Fault::fatal("mail_server_tls", message));
        }
        let encrypted = within(patience.connect, connection.starttls(tls.clone(), &hello)).await?;
        encrypted.map_err(|error| tls_fault(&error))?;
    }
    if let Some((user, password)) = &way.account {
        let credentials = Credentials::new(user.clone(), password.clone());
        let ways = [Mechanism::Plain, Mechanism::Login];
        within(patience.command, connection.auth(&ways, &credentials)).await?.map_err(|error| {
            match error.is_permanent() || error.is_client() {
                // What the server says may hold what it was sent.
                true => {
                    Fault::fatal("mail_server_sign_in", "the mail server does not take the account of ERRAND_SMTP_URL")
                }
                false => Fault::of("sign us in", &error),
            }
        })?;
    }
    Ok(connection)
}

/// The first of its addresses that answers.
async fn reach(way: &Way) -> Result<(Bounded, SocketAddr), Fault> {
    let host = way.host.trim_matches(['[', ']']);
    let found = match timeout(way.patience.resolve, lookup_host((host, way.port))).await {
        Ok(Ok(found)) => found.collect::<Vec<_>>(),
        Ok(Err(_)) => return Err(unreachable("its name is not known")),
        Err(_) => return Err(unreachable("its name was not told in time")),
    };
    let attempts = async {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in found {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A command is one small packet that waits for its answer.
                    let _ = stream.set_nodelay(true);
                    return Ok((Bounded::new(stream), address));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    };
    match timeout(way.patience.connect, attempts).await {
        Ok(Ok(reached)) => Ok(reached),
        Ok(Err(error)) => Err(unreachable(&error.kind().to_string())),
        Err(_) => Err(unreachable("it did not answer in time")),
    }
}

/// The handshake before the first word. lettre does one only on a connection of its own making, which would have no
/// bounds; this is the one door it leaves for others.
#[allow(deprecated)]
async fn encrypt(
    stream: Box<dyn AsyncTokioStream>,
    address: SocketAddr,
    tls: TlsParameters,
    patience: Duration,
) -> Result<Box<dyn AsyncTokioStream>, Fault> {
    use lettre::transport::smtp::client::AsyncNetworkStream;
    let mut stream = AsyncNetworkStream::use_existing_tokio1(stream);
    within(patience, stream.upgrade_tls(tls)).await?.map_err(|error| tls_fault(&error))?;
    Ok(Box::new(Encrypted(stream.compat(), address)))
}

async fn within<T>(patience: Duration, step: impl Future<Output = T>) -> Result<T, Fault> {
    timeout(patience, step).await.map_err(|_| Fault::Line("it did not answer in time".to_owned()))
}

/// A certificate that is none will not be another one in a minute; a connection may.
fn tls_fault(error: &lettre::transport::smtp::Error) -> Fault {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            let message = "the mail server's certificate or handshake is not valid: nothing was sent";
            return Fault::fatal("mail_server_tls", message);
        }
        cause = error.source();
    }
    Fault::of("begin to encrypt", error)
}

fn unreachable(why: &str) -> Fault {
    Fault::retry("mail_server_unreachable", format!("the mail server cannot be reached: {why}"))
}
