//! `comms.email`: one mail to all addresses of an audience, over SMTP (RFC 5321). Its `Message-ID` is made of its
//! content, so that mail programs show the same mail once.

use super::{AUDIENCE, Message, SUBJECT, TEXT};
use crate::act::args::{name_of, shell};
use crate::config::certificate::Pair;
use crate::config::model::{Comms, Mailer, Smtps, TlsMin};
use crate::config::secret;
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::postgres::failure::address;
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, Identity, TlsParameters, TlsVersion};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What it declares.
pub(super) static SPEC: VerbSpec =
    super::spec("comms.email", "mails a message to the addresses of an audience", &[AUDIENCE, SUBJECT, TEXT], false);

/// The verb.
pub(super) struct Email(pub(super) Arc<Comms>);

impl Email {
    /// The server that a request names, which must be the configured one, and the mail as bytes.
    fn checked(&self, request: &Request) -> Result<(&Mailer, lettre::Message), Failure> {
        let foreign = || super::super::foreign(request);
        let Operation::Mail { server, from, to, subject, body } = &request.operation else { return Err(foreign()) };
        let mailer = self.0.smtp.as_ref().filter(|m| &address(&m.host, m.port) == server && &m.from == from);
        let (Some(mailer), true) = (mailer, request.verb == SPEC.name) else { return Err(foreign()) };
        message(from, to, subject, body).map(|mail| (mailer, mail)).map_err(local)
    }
}

/// The mail of a request, named by its content.
fn message(from: &str, to: &[String], subject: &str, body: &str) -> Result<lettre::Message, String> {
    let whole = serde_json::to_string(&(to, subject, body)).map_err(|e| e.to_string())?;
    compose(from, to, subject, body, &name_of(&whole), None)
}

/// A mail under a name of its own; of the moment at which it was announced, where it was. What it can not be made of is
/// a sentence. It is marked as made by a program (RFC 3834), so that nobody's holiday answers it.
pub(super) fn compose(
    from: &str,
    to: &[String],
    subject: &str,
    body: &str,
    key: &str,
    at: Option<Timestamp>,
) -> Result<lettre::Message, String> {
    let mailbox = |text: &str| text.parse::<Mailbox>().map_err(|e| format!("{text} is no mail address: {e}"));
    let from = mailbox(from)?;
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    let mut mail = lettre::Message::builder()
        .message_id(Some(format!("<{key}.quarterdeck@{}>", from.email.domain())))
        .from(from)
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .subject(subject);
    if let Some(at) = at {
        mail = mail.date(std::time::SystemTime::from(at));
    }
    for address in to {
        mail = mail.to(mailbox(address)?);
    }
    mail.singlepart(SinglePart::plain(body.to_owned())).map_err(|e| format!("the mail can not be made: {e}"))
}

/// Hands a mail to its server, once. `Failed` where the server has said no or has not been given the text, `Unknown`
/// where it has the text and has not said what it does with it.
pub(super) async fn submit(mailer: &Mailer, mail: &lettre::Message, count: usize, allowed: Duration) -> Outcome {
    let server = address(&mailer.host, mailer.port);
    let deadline = Instant::now() + allowed;
    let nothing = || Outcome::Failed { why: late(&server, allowed, "nothing was sent") };
    let mut session = match timeout_at(deadline, open(mailer)).await {
        Ok(Ok(session)) => session,
        Ok(Err(why)) => return Outcome::Failed { why },
        Err(_) => return nothing(),
    };
    match timeout_at(deadline, announce(&mut session, mail.envelope())).await {
        Ok(Ok(())) => {}
        Ok(Err(e)) => {
            let why = failure(&server, "before the text of the mail", &e);
            drop(timeout_at(deadline, session.abort()).await);
            return Outcome::Failed { why };
        }
        Err(_) => return nothing(),
    }
    match timeout_at(deadline, session.message(&mail.formatted())).await {
        Ok(Ok(answer)) => {
            let said: Vec<&str> = answer.message().collect();
            let said = crate::domain::text::sanitize(&said.join(" "));
            drop(timeout_at(deadline, session.quit()).await);
            let addresses = if count == 1 { "address" } else { "addresses" };
            let summary = format!("{server} took the mail for {count} {addresses}");
            Outcome::Done { result: json!({ "server": server, "said": said }), summary }
        }
        // An answer in words is a refusal: the server has not taken the mail.
        Ok(Err(e)) if e.is_permanent() || e.is_transient() => Outcome::Failed { why: failure(&server, "the mail", &e) },
        Ok(Err(e)) => Outcome::Unknown { why: failure(&server, "the mail", &e) },
        Err(_) => Outcome::Unknown { why: late(&server, allowed, "it may have taken the mail") },
    }
}

/// Everything before the text: sender, all addresses, and the leave to send the text (RFC 5321, 3.3).
async fn announce(session: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), smtp::Error> {
    let mut parameters = Vec::new();
    let ascii = |a: &lettre::Address| a.to_string().is_ascii();
    if !envelope.from().is_none_or(ascii) || !envelope.to().iter().all(ascii) {
        parameters.push(MailParameter::SmtpUtfEight);
    }
    session.command(Mail::new(envelope.from().cloned(), parameters)).await?;
    for to in envelope.to() {
        session.command(Rcpt::new(to.clone(), Vec::new())).await?;
    }
    session.command(Data).await?;
    Ok(())
}

/// A session that is logged in and ready for a mail.
async fn open(mailer: &Mailer) -> Result<AsyncSmtpConnection, Failure> {
    let server = address(&mailer.host, mailer.port);
    let said = |doing: &str, e: &smtp::Error| failure(&server, doing, e);
    let hello = ClientId::default();
    let tls = match mailer.tls {
        Smtps::None => None,
        Smtps::Tls | Smtps::Starttls => Some(parameters(mailer).await?),
    };
    let (first, later) = if mailer.tls == Smtps::Tls { (tls, None) } else { (None, tls) };
    let reach = Some(mailer.timeout);
    let mut session =
        AsyncSmtpConnection::connect_tokio1((mailer.host.as_str(), mailer.port), reach, &hello, first, None)
            .await
            .map_err(|e| said("connecting", &e))?;
    if let Some(tls) = later {
        session.starttls(tls, &hello).await.map_err(|e| said("STARTTLS", &e))?;
    }
    if let Some(login) = &mailer.login {
        let password = match &login.password {
            Some(reference) => secret::read(reference).await.map_err(|e| local(e.to_string()))?.expose().to_owned(),
            None => String::new(),
        };
        let credentials = Credentials::new(login.user.clone(), password);
        let refused = |e: &smtp::Error| Failure::new(FailureKind::Authentication, said("the login", e).message);
        session.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await.map_err(|e| refused(&e))?;
    }
    Ok(session)
}

async fn parameters(mailer: &Mailer) -> Result<TlsParameters, Failure> {
    crate::observe::http::install_ring();
    let builder = TlsParameters::builder(mailer.host.clone());
    let builder = match mailer.ca.min {
        TlsMin::V12 => builder,
        TlsMin::V13 => builder.set_min_tls_version(TlsVersion::Tlsv13),
    };
    let builder = match &mailer.ca.file {
        None => builder,
        Some(path) => {
            let shown = path.display();
            let pem = tokio::fs::read(path).await.map_err(|e| local(format!("the authorities in {shown}: {e}")))?;
            let certificate =
                Certificate::from_pem(&pem).map_err(|e| local(format!("the authorities in {shown}: {e}")))?;
            builder.add_root_certificate(certificate)
        }
    };
    let builder = match &mailer.ca.client {
        None => builder,
        Some(client) => {
            let (Pair { cert, key }, _) = client.read().await.map_err(local)?;
            let made = Identity::from_pem(cert.expose().as_bytes(), key.expose().as_bytes());
            builder.identify_with(made.map_err(|e| local(format!("the client certificate: {e}")))?)
        }
    };
    builder.build_rustls().map_err(|e| local(format!("TLS with {}: {e}", mailer.host)))
}

fn failure(server: &str, doing: &str, error: &smtp::Error) -> Failure {
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_tls() {
        FailureKind::Tls
    } else if error.is_permanent() || error.is_transient() || error.is_response() {
        FailureKind::Protocol
    } else {
        FailureKind::Unreachable
    };
    Failure::new(kind, format!("mail server {server}, {doing}: {error}"))
}

fn local(why: String) -> Failure {
    Failure::new(FailureKind::Local, why)
}

fn late(server: &str, allowed: Duration, effect: &str) -> Failure {
    let why = format!("no answer from the mail server {server} within {} s; {effect}", allowed.as_secs_f64());
    Failure::new(FailureKind::Timeout, why)
}

impl Verb for Email {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let said = Message::new(context, &self.0)?;
        let mailer = self.0.smtp.as_ref().ok_or_else(|| VerbError::new("there is no [comms.smtp] to mail through"))?;
        let to = said.audience.email.clone();
        if to.is_empty() {
            return Err(said.no_way("email"));
        }
        message(&mailer.from, &to, &said.subject, &said.text).map_err(VerbError::new)?;
        let words: Vec<String> = to.iter().map(|a| shell(a)).collect();
        let by_hand = format!("mail -s {} {} <<'END'\n{}\nEND", shell(&said.subject), words.join(" "), said.text);
        let (count, object) = (to.len(), format!("{} addresses of the audience {}", to.len(), said.audience.name));
        let operation = Operation::Mail {
            server: address(&mailer.host, mailer.port),
            from: mailer.from.clone(),
            to,
            subject: said.subject,
            body: said.text,
        };
        let checks = vec!["the server takes it for all addresses, or for none".to_owned()];
        Ok(super::request(context, &SPEC, object, count, operation, by_hand, checks))
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (mailer, mail) = self.checked(request)?;
            let server = address(&mailer.host, mailer.port);
            let opened = tokio::time::timeout(mailer.timeout, open(mailer)).await;
            let mut session = opened.map_err(|_| late(&server, mailer.timeout, "nothing was sent"))??;
            session.abort().await;
            Ok(format!("{server} lets us in; would send {} bytes", mail.formatted().len()))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (mailer, mail) = match self.checked(permit.request()) {
                Ok(checked) => checked,
                Err(why) => return Outcome::Failed { why },
            };
            let count = usize::try_from(permit.request().target.count).unwrap_or(usize::MAX);
            submit(mailer, &mail, count, permit.timeout()).await
        })
    }

    fn reconcile<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Reconciled> {
        let why = "whether the mail server took the mail can only be seen in its log, or at the addresses".to_owned();
        Box::pin(async { Reconciled::Undecided { why } })
    }
}
