//! The administration socket: HTTP/1.1 and JSON over a unix socket that only its owner may open.
//!
//! In: the path `<runtime_dir>/admin.sock`. Out: a server for the daemon, [`call`] for its command line. Refused: a
//! second daemon on the same path (a live socket answers; a stale one is replaced), requests over the
//! [`Limits`]. Whoever may open the socket (mode 0600) is the administrator; nothing else is checked.

use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::http::{ExchangeError, Limits, Method, Request, Response, exchange, serve_connection};

/// The socket's name inside the runtime directory.
pub const SOCKET_NAME: &str = "admin.sock";

/// A bound administration socket. Dropping it removes the socket file.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

/// Why the socket could not be bound; each text is a paragraph for the operator.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("{}: another daemon already answers on this socket. Stop it first, or give this one another `runtime_dir`.", .0.display())]
    Live(PathBuf),
    /// Something that is not a socket is in the way.
    #[error("{}: a file that is not a socket is in the way. Move it elsewhere, or change `runtime_dir`.", .0.display())]
    InTheWay(PathBuf),
    /// The system refused.
    #[error("{}: the administration socket cannot be made: {source}. See that `runtime_dir` exists and that this user may write there.", path.display())]
    System {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a call to the daemon gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answers on the socket.
    #[error("the daemon is not running: {} does not answer: {source}. Start it (`systemctl start`, or the command `run`), or name its configuration with --config PATH.", path.display())]
    NotRunning {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This user is not the administrator.
    #[error("this user may not ask the daemon: {} cannot be opened. Run the command as root or as the daemon's user.", .0.display())]
    Forbidden(PathBuf),
    /// The daemon answered that it will not do this.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The daemon's sentence.
        message: String,
    },
    /// The answer did not come or could not be understood.
    #[error("the daemon at {} did not answer properly: {reason}. Its log may tell why; is it of the same version?", path.display())]
    Broken {
        /// The socket's path.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

impl Server {
    /// Binds the socket `<runtime_dir>/admin.sock` with mode 0600, making `runtime_dir` (mode 0755) where it is missing.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(runtime_dir: &Path) -> Result<Self, BindError> {
        let path = runtime_dir.join(SOCKET_NAME);
        let system = |source| BindError::System { path: path.clone(), source };
        std::fs::create_dir_all(runtime_dir).map_err(system)?;
        clear_stale(&path)?;
        let listener = bind_private(&path).map_err(system)?;
        Ok(Self { listener, path })
    }

    /// Serves connections with `handler` until the future is dropped.
    pub async fn serve<H, F>(self, limits: Limits, handler: H)
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(limits.connections));
        while let Ok(place) = places.clone().acquire_owned().await {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let handler = handler.clone();
                    tokio::spawn(async move {
                        serve_connection(stream, limits, handler).await;
                        drop(place);
                    });
                }
                Err(error) => pause_after(&error).await,
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, path = %self.path.display(), "administration socket was already gone");
        }
    }
}

/// Out of descriptors or memory: wait a moment instead of spinning.
async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "administration socket cannot accept");
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
}

fn clear_stale(path: &Path) -> Result<(), BindError> {
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(BindError::System { path: path.to_path_buf(), source }),
    };
    if !kind.is_socket() {
        return Err(BindError::InTheWay(path.to_path_buf()));
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(BindError::Live(path.to_path_buf())),
        Err(_) => std::fs::remove_file(path)
            .map_err(|source| BindError::System { path: path.to_path_buf(), source }),
    }
}

/// Binds under a temporary name, sets the mode, then renames: the socket is never open to others, not for a moment.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let unfinished = path.with_extension(format!("{}.new", std::process::id()));
    let listener = UnixListener::bind(&unfinished)?;
    std::fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    std::fs::rename(&unfinished, path)?;
    Ok(listener)
}

/// Sends one request to the daemon at `<runtime_dir>/admin.sock` and gives its answer.
///
/// # Errors
/// See [`CallError`]; only [`CallError::NotRunning`] means that no daemon runs.
pub async fn call<B: Serialize, T: DeserializeOwned>(
    runtime_dir: &Path,
    method: Method,
    path: &str,
    body: &B,
) -> Result<T, CallError> {
    let socket = runtime_dir.join(SOCKET_NAME);
    let broken = |reason: String| CallError::Broken { path: socket.clone(), reason };
    let stream = UnixStream::connect(&socket).await.map_err(|error| no_connection(&socket, error))?;
    let request = Request::new(method, path).with_json(body).map_err(|error| broken(error.to_string()))?;
    let limits = Limits { body_octets: 64 << 20, ..Limits::default() };
    let answer =
        exchange(stream, request, limits).await.map_err(|error: ExchangeError| broken(error.to_string()))?;
    if !answer.status.is_success() {
        return Err(CallError::Refused { status: answer.status.as_u16(), message: answer.error_text() });
    }
    answer.json().map_err(|error| broken(error.to_string()))
}

fn no_connection(socket: &Path, source: io::Error) -> CallError {
    let path = socket.to_path_buf();
    match source.kind() {
        io::ErrorKind::PermissionDenied => CallError::Forbidden(path),
        _ => CallError::NotRunning { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::StatusCode;

    async fn handler(request: Request) -> Response {
        match request.path.as_str() {
            "/sum" => Response::ok(&request.json::<Vec<u32>>().unwrap().iter().sum::<u32>()),
            _ => Response::error(StatusCode::CONFLICT, "no, because."),
        }
    }

    #[tokio::test]
    async fn a_call_reaches_the_daemon_and_comes_back() {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::bind(directory.path()).unwrap();
        let mode = std::fs::metadata(directory.path().join(SOCKET_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        tokio::spawn(server.serve(Limits::default(), handler));
        let sum: u32 = call(directory.path(), Method::POST, "/sum", &[1, 2, 3]).await.unwrap();
        assert_eq!(sum, 6);
        let refused = call::<_, u32>(directory.path(), Method::GET, "/x", &()).await.unwrap_err();
        assert!(matches!(&refused, CallError::Refused { status: 409, message } if message == "no, because."));
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET_NAME);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let server = Server::bind(directory.path()).unwrap();
        assert!(matches!(Server::bind(directory.path()), Err(BindError::Live(_))));
        drop(server);
        assert!(!path.exists());
        std::fs::write(&path, "not a socket").unwrap();
        assert!(matches!(Server::bind(directory.path()), Err(BindError::InTheWay(_))));
    }

    #[tokio::test]
    async fn no_daemon_is_its_own_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = call::<_, ()>(directory.path(), Method::GET, "/", &()).await.unwrap_err();
        assert!(matches!(error, CallError::NotRunning { .. }));
    }
}
