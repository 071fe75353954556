//! The outside world of the tests, on loopback: a name server and mail servers that do as they are told.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, MX};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UdpSocket};

use crate::net::{Stream, Tcp};

/// What the name server says of one name.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub mx: Vec<(u16, &'static str)>,
    pub a: Option<Ipv4Addr>,
    pub aaaa: Option<Ipv6Addr>,
    /// Instead of a response, SERVFAIL.
    pub broken: bool,
}

/// Starts a name server for these names; all others do not exist.
pub async fn name_server(entries: &[(&'static str, Entry)]) -> SocketAddr {
    let entries: HashMap<String, Entry> =
        entries.iter().map(|(name, entry)| (format!("{name}."), entry.clone())).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let response = answer(query, &entries).to_vec().unwrap();
            socket.send_to(&response, client).await.unwrap();
        }
    });
    address
}

fn answer(query: Message, entries: &HashMap<String, Entry>) -> Message {
    let question = query.queries[0].clone();
    let mut response = query.into_response();
    let Some(entry) = entries.get(&question.name().to_string().to_lowercase()) else {
        response.metadata.response_code = ResponseCode::NXDomain;
        return response;
    };
    if entry.broken {
        response.metadata.response_code = ResponseCode::ServFail;
    }
    let record = |data| Record::from_rdata(question.name().clone(), 60, data);
    match question.query_type() {
        RecordType::MX => {
            for (preference, exchange) in &entry.mx {
                let exchange = Name::from_ascii(format!("{exchange}.")).unwrap();
                response.add_answer(record(RData::MX(MX::new(*preference, exchange))));
            }
        }
        RecordType::A => {
            if let Some(address) = entry.a {
                response.add_answer(record(RData::A(A(address))));
            }
        }
        RecordType::AAAA => {
            if let Some(address) = entry.aaaa {
                response.add_answer(record(RData::AAAA(AAAA(address))));
            }
        }
        _ => {}
    }
    response
}

/// How a mail server behaves.
#[derive(Clone, Default)]
pub struct Behaviour {
    /// The reply to RCPT for recipients that are not taken.
    pub refuse: HashMap<&'static str, &'static str>,
    /// STARTTLS is offered: with a configuration that works, or `None` to answer the handshake with nonsense.
    pub starttls: Option<Option<Arc<rustls::ServerConfig>>>,
    /// DELIVERBY is offered.
    pub deliver_by: bool,
    /// Where each connection is cut.
    pub cut: Option<Cut>,
}

/// The end of a connection.
#[derive(Clone, Copy)]
pub struct Cut {
    /// After so many messages on it,
    pub after: usize,
    /// here.
    pub at: Point,
}

/// A point of the dialogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// When the last message has been taken.
    Taken,
    /// At MAIL, which is answered 421.
    Refused,
    /// Without an answer to MAIL.
    Mail,
    /// Without an answer to RCPT.
    Rcpt,
    /// Without an answer to DATA.
    Data,
    /// Without an answer to the content.
    Content,
}

/// One message that a server took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub under_tls: bool,
    pub mail: String,
    pub rcpt: Vec<String>,
    /// As sent, with its dots.
    pub content: String,
}

/// What a server has seen.
#[derive(Default)]
pub struct Seen {
    pub connections: usize,
    /// Connections that the client ended by QUIT.
    pub goodbyes: usize,
    pub taken: Vec<Taken>,
}

/// Starts a mail server on the address.
pub async fn mail_server(address: IpAddr, port: u16, behaviour: Behaviour) -> (u16, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind((address, port)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            shared.lock().unwrap().connections += 1;
            let (behaviour, seen) = (behaviour.clone(), shared.clone());
            tokio::spawn(async move {
                // The client may leave at any moment.
                let _ = serve(Stream::Plain(Tcp::Kernel(stream)), behaviour, &seen).await;
            });
        }
    });
    (port, seen)
}

async fn serve(stream: Stream, behaviour: Behaviour, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut connection = BufReader::new(stream);
    let (mut under_tls, mut mail, mut rcpt, mut messages) = (false, String::new(), Vec::new(), 0);
    connection.write_all(b"220 mx ESMTP\r\n").await?;
    loop {
        let is_cut = |at| behaviour.cut.is_some_and(|cut| cut.after == messages && cut.at == at);
        if is_cut(Point::Taken) {
            return Ok(());
        }
        let mut line = String::new();
        if connection.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let line = line.trim_end().to_owned();
        let reply = match line.split(' ').next().unwrap_or_default() {
            "EHLO" if behaviour.starttls.is_some() && !under_tls => {
                "250-mx\r\n250-STARTTLS\r\n250 PIPELINING".to_owned()
            }
            "EHLO" if behaviour.deliver_by => "250-mx\r\n250-DSN\r\n250 DELIVERBY".to_owned(),
            "EHLO" => "250-mx\r\n250-PIPELINING\r\n250 8BITMIME".to_owned(),
            "STARTTLS" => {
                connection.write_all(b"220 go\r\n").await?;
                let Some(Some(config)) = &behaviour.starttls else {
                    connection.write_all(b"this is no TLS\r\n").await?;
                    return connection.read_to_end(&mut Vec::new()).await.map(drop);
                };
                connection = BufReader::new(connection.into_inner().accept_tls(config.clone()).await?);
                under_tls = true;
                continue;
            }
            "MAIL" if is_cut(Point::Refused) => return connection.write_all(b"421 4.3.2 enough\r\n").await,
            "MAIL" if is_cut(Point::Mail) => return Ok(()),
            "RCPT" if is_cut(Point::Rcpt) => return Ok(()),
            "DATA" if is_cut(Point::Data) => return Ok(()),
            "MAIL" => {
                mail = line;
                "250 2.1.0 ok".to_owned()
            }
            "RCPT" => {
                let address =
                    line.trim_start_matches("RCPT TO:<").split('>').next().unwrap_or_default().to_owned();
                match behaviour.refuse.get(address.as_str()) {
                    Some(refusal) => (*refusal).to_owned(),
                    None => {
                        rcpt.push(address);
                        "250 2.1.5 ok".to_owned()
                    }
                }
            }
            "DATA" if rcpt.is_empty() => "554 5.5.1 no valid recipients".to_owned(),
            "DATA" => {
                connection.write_all(b"354 go\r\n").await?;
                let content = read_content(&mut connection).await?;
                if is_cut(Point::Content) {
                    return Ok(());
                }
                messages += 1;
                let taken = Taken {
                    under_tls,
                    mail: std::mem::take(&mut mail),
                    rcpt: std::mem::take(&mut rcpt),
                    content,
                };
                seen.lock().unwrap().taken.push(taken);
                "250 2.0.0 taken".to_owned()
            }
            "RSET" => "250 ok".to_owned(),
            "QUIT" => {
                seen.lock().unwrap().goodbyes += 1;
                return connection.write_all(b"221 bye\r\n").await;
            }
            _ => "502 5.5.1 what".to_owned(),
        };
        connection.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

async fn read_content(connection: &mut BufReader<Stream>) -> std::io::Result<String> {
    let mut content = String::new();
    while !content.ends_with("\r\n.\r\n") {
        if connection.read_line(&mut content).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    content.truncate(content.len() - 3);
    Ok(content)
}
