//! Listening sockets and accepted connections.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    os::unix::fs::FileTypeExt as _,
    path::Path,
    sync::Arc,
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio_util::either::Either;

use super::{address::Address, connections::Origin};

/// After this time of silence the kernel probes a peer (docs/parity.md#serving).
const KEEPALIVE: Duration = Duration::from_mins(3);

/// The most connections that wait to be accepted.
const BACKLOG: u32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub enum Listener {
    /// On an IP address.
    Tcp(TcpListener),
    /// On a path.
    Unix(UnixListener),
}

/// Which processes share a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// None.
    #[default]
    Exclusive,
    /// Other processes that also set `SO_REUSEPORT`.
    Processes,
}

/// The result of waiting for a connection.
#[derive(Debug)]
pub(super) enum Accepted {
    /// A connection.
    Connection(Arrival),
    /// The connection has ended already. That says nothing about the next one.
    Gone,
    /// There are no descriptors or no memory for it. It waits in the kernel.
    NoRoom(io::Error),
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: Stream,
    pub(super) name: Arc<str>,
    pub(super) origin: Origin,
}

/// A listener and its actual address.
#[derive(Debug)]
pub struct Listening {
    /// The listener.
    pub listener: Listener,
    /// Its address, with the actual port.
    pub address: Address,
}

impl Listener {
    /// Listens on `address`. An unspecified one, `0.0.0.0` or `::`, accepts IPv4 and IPv6, as in Go. A socket file
    /// without a listener, which a killed process left behind, is replaced. No other file is.
    ///
    /// # Errors
    ///
    /// The address is in use, or may not be used.
    pub async fn bind(address: &Address) -> io::Result<Listening> {
        Self::bind_shared(address, Sharing::default()).await
    }

    /// Listens on `address`, which others may share.
    ///
    /// # Errors
    ///
    /// The address is in use, or may not be used.
    pub async fn bind_shared(address: &Address, sharing: Sharing) -> io::Result<Listening> {
        match address {
            Address::Tcp(address) => {
                let listener = listen(*address, sharing)?;
                let address = Address::Tcp(listener.local_addr()?);
                Ok(Listening {
                    listener: Self::Tcp(listener),
                    address,
                })
            }
            Address::Unix(path) => {
                if is_stale(path).await {
                    tokio::fs::remove_file(path).await?;
                }
                Ok(Listening {
                    listener: Self::Unix(UnixListener::bind(path)?),
                    address: address.clone(),
                })
            }
        }
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    ///
    /// The socket has failed permanently.
    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        let accepted = match self {
            Self::Tcp(listener) => match listener.accept().await {
                // Options cannot be set if the peer has left already.
                Ok((stream, _)) if set_options(&stream).is_err() => return Ok(Accepted::Gone),
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    Ok(Arrival {
                        stream: Stream::Left(stream),
                        name: peer.to_string().into(),
                        origin: Origin::of(peer.ip()),
                    })
                }
                Err(error) => Err(error),
            },
            Self::Unix(listener) => listener.accept().await.map(|(stream, _)| Arrival {
                stream: Stream::Right(stream),
                name: "unix".into(),
                origin: Origin::LOCAL,
            }),
        };
        match accepted {
            Ok(arrival) => Ok(Accepted::Connection(arrival)),
            Err(error) if is_shortage(&error) => Ok(Accepted::NoRoom(error)),
            Err(error) if is_passing(&error) => Ok(Accepted::Gone),
            Err(error) => Err(error),
        }
    }
}

fn listen(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    if address.ip().is_unspecified() {
        let every = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), address.port());
        match listen_on(every, sharing) {
            // The kernel has no IPv6.
            Err(error) if is_foreign(&error) && address.is_ipv4() => {}
            done => return done,
        }
    }
    listen_on(address, sharing)
}

fn listen_on(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if address.is_ipv6() && address.ip().is_unspecified() {
        SockRef::from(&socket).set_only_v6(false)?;
    }
    // A server that ended a moment ago must not block the port.
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(sharing == Sharing::Processes)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_foreign(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| Some(errno.raw_os_error()) == error.raw_os_error())
}

/// Whether there is a socket at `path` without a listener. A busy socket, or one to which we may not connect, has a
/// listener.
async fn is_stale(path: &Path) -> bool {
    let found = tokio::fs::symlink_metadata(path).await;
    let socket = found.is_ok_and(|found| found.file_type().is_socket());
    socket
        && UnixStream::connect(path)
            .await
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The user of this process.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether a resource is exhausted for now.
fn is_shortage(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const SHORTAGES: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error
        .raw_os_error()
        .is_some_and(|code| SHORTAGES.iter().any(|errno| errno.raw_os_error() == code))
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let alive = TcpKeepalive::new().with_time(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&alive)
}

/// Whether an error is about one connection, and not about the listening socket. Linux returns pending errors of the network
/// for the new connection (accept(2)).
fn is_passing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    const PASSING: [Errno; 14] = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::CONNREFUSED,
        Errno::INTR,
        Errno::PERM,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NONET,
        Errno::TIMEDOUT,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| PASSING.iter().any(|errno| errno.raw_os_error() == code))
}

/// A connection of either kind.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// The user at the other end of a Unix socket.
pub(super) fn uid_of(stream: &Stream) -> Option<u32> {
    match stream {
        Either::Left(_) => None,
        Either::Right(stream) => stream.peer_cred().ok().map(|peer| peer.uid()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

    use super::*;

    #[test]
    fn errors_of_one_connection_do_not_end_the_server_and_those_of_the_socket_do() {
        // ECONNABORTED, EPROTO, ENETDOWN, EHOSTUNREACH, EPERM; EINVAL, EBADF, ENOTSOCK.
        for code in [103, 71, 100, 113, 1] {
            assert!(is_passing(&io::Error::from_raw_os_error(code)), "{code}");
        }
        for code in [22, 9, 88] {
            assert!(!is_passing(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }

    #[tokio::test]
    async fn a_port_can_be_shared_by_those_who_ask_for_it() {
        let any: Address = "127.0.0.1:0".parse().unwrap();
        let shared = Sharing::Processes;
        let first = Listener::bind_shared(&any, shared).await.unwrap();
        Listener::bind_shared(&first.address, shared).await.unwrap();
        let error = Listener::bind(&first.address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    /// The next connection.
    async fn next(listener: &Listener) -> Arrival {
        match listener.accept().await.unwrap() {
            Accepted::Connection(arrival) => arrival,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_unspecified_address_of_either_kind_takes_both() {
        for any in ["0.0.0.0:0", "[::]:0"] {
            let listening = Listener::bind(&any.parse().unwrap()).await.unwrap();
            let Address::Tcp(address) = listening.address else {
                panic!("TCP");
            };
            for local in ["127.0.0.1", "::1"] {
                let local: IpAddr = local.parse().unwrap();
                let to = SocketAddr::new(local, address.port());
                let (connected, arrival) =
                    tokio::join!(TcpStream::connect(to), next(&listening.listener));
                let from = connected.unwrap().local_addr().unwrap();
                // The name is not in the form that IPv4 has on a socket for both.
                assert_eq!(*arrival.name, *from.to_string(), "{any}");
                assert_eq!(arrival.origin, Origin::of(local), "{any}");
            }
        }
    }

    #[tokio::test]
    async fn an_address_that_is_given_is_taken_alone() {
        let given = "127.0.0.1:0".parse().unwrap();
        let listening = Listener::bind(&given).await.unwrap();
        let Address::Tcp(address) = listening.address else {
            panic!("TCP");
        };
        assert!(address.is_ipv4());
        let other = ("::1", address.port());
        let refused = TcpStream::connect(other).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_socket_left_by_a_dead_process_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let address = Address::Unix(dir.path().join("bus.sock"));
        let first = Listener::bind(&address).await.unwrap();
        let error = Listener::bind(&address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first); // the file stays
        Listener::bind(&address).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        std::fs::write(&path, "precious").unwrap();
        let error = Listener::bind(&Address::Unix(path.clone())).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn the_kernel_says_who_is_at_the_other_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let listening = Listener::bind(&Address::Unix(path.clone())).await.unwrap();
        let _caller = UnixStream::connect(&path).await.unwrap();
        let Arrival { stream, name, .. } = next(&listening.listener).await;
        assert_eq!((uid_of(&stream), &*name), (Some(own_uid()), "unix"));
    }

    #[tokio::test]
    async fn several_buffers_are_sent_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let any: Address = "127.0.0.1:0".parse().unwrap();
        let tcp = Listener::bind(&any).await.unwrap();
        let Address::Tcp(address) = tcp.address else {
            panic!("TCP");
        };
        let path = dir.path().join("bus.sock");
        let unix = Listener::bind(&Address::Unix(path.clone())).await.unwrap();
        let _callers = (
            TcpStream::connect(address).await.unwrap(),
            UnixStream::connect(&path).await.unwrap(),
        );
        for listener in [tcp.listener, unix.listener] {
            let Arrival {
                mut stream, name, ..
            } = next(&listener).await;
            assert!(stream.is_write_vectored(), "{name}");
            // TLS writes like this: its records have at most 16 KiB.
            let pieces = [IoSlice::new(b"ab"), IoSlice::new(b"cd")];
            assert_eq!(stream.write_vectored(&pieces).await.unwrap(), 4, "{name}");
        }
    }
}
