//! A TCP proxy that cuts, stalls, resets, half-opens and silently loses connections.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{copy, copy_bidirectional, sink},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// The most connections of one proxy. More are closed at once.
const CONNECTIONS: usize = 4_096;

/// What the proxy does with bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It passes them on.
    #[default]
    Pass,
    /// Connections are reset, and so are new ones.
    Reset,
    /// Packets are delayed: connections stay open without progress, and new ones are not answered. What was sent
    /// arrives when this mode ends.
    Stall,
    /// The far side has gone, and the near side does not notice: its writes succeed, and it receives nothing.
    HalfOpen,
    /// A part of the bytes is lost forever, on open connections and on new ones. These connections stay broken
    /// afterwards, and neither side is notified.
    Lose(Lost),
}

/// Which bytes are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Those from the far side.
    Answers,
    /// Those from the near side.
    Requests,
    /// Both.
    All,
}

/// A mode, and the connections to which it applies.
#[derive(Clone, Debug, Default)]
struct Rule {
    mode: Mode,
    /// Connections to these addresses. `None`: to all. Others work.
    only: Option<Arc<BTreeSet<IpAddr>>>,
    /// Connections with an older number are lost.
    generation: u64,
}

impl Rule {
    fn of(&self, target: IpAddr) -> Mode {
        match &self.only {
            Some(only) if !only.contains(&target) => Mode::Pass,
            _ => self.mode,
        }
    }
}

/// The target of connections.
#[derive(Clone, Copy, Debug)]
enum Target {
    Fixed(SocketAddr),
    /// The dialled loopback address, with this port.
    Dialled(u16),
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    rule: watch::Sender<Rule>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A proxy for `target`, on its own port.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub(crate) async fn before(target: SocketAddr) -> io::Result<Self> {
        Self::start(Ipv4Addr::LOCALHOST, Target::Fixed(target)).await
    }

    /// A proxy for `port` on every loopback address. It listens on another port of the same addresses, for clients that
    /// connect to many hosts at one port.
    ///
    /// # Errors
    ///
    /// No port is free.
    pub(crate) async fn before_all(port: u16) -> io::Result<Self> {
        Self::start(Ipv4Addr::UNSPECIFIED, Target::Dialled(port)).await
    }

    async fn start(ip: Ipv4Addr, target: Target) -> io::Result<Self> {
        let listener = TcpListener::bind((ip, 0)).await?;
        let address = listener.local_addr()?;
        let rule = watch::Sender::new(Rule::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, target, rule.subscribe()));
        Ok(Self {
            address,
            rule,
            _accepting: accepting,
        })
    }

    /// The address to dial instead of the target.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the mode of all connections from now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.rule.send_modify(|rule| {
            rule.mode = mode;
            rule.only = None;
        });
    }

    /// Silently loses all open connections: both sides may write, and nothing arrives. New ones work.
    pub(crate) fn lose_all(&self) {
        self.rule.send_modify(|rule| rule.generation += 1);
    }

    /// Sets the mode of connections to `only` from now on. Others work.
    pub(crate) fn set_for(&self, mode: Mode, only: BTreeSet<IpAddr>) {
        self.rule.send_modify(|rule| {
            rule.mode = mode;
            rule.only = Some(Arc::new(only));
        });
    }
}

async fn accept(listener: TcpListener, target: Target, rule: watch::Receiver<Rule>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((near, _)) if connections.len() < CONNECTIONS => {
                    connections.spawn(connection(near, target, rule.clone()));
                }
                Ok(_) => {}
                // For example, there are no descriptors left. Another connection may end meanwhile.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(near: TcpStream, target: Target, mut rule: watch::Receiver<Rule>) {
    let Ok(dialled) = near.local_addr() else {
        return;
    };
    // The listener may be on every address, so connections from other machines are refused here.
    if !dialled.ip().is_loopback() {
        return;
    }
    let target = match target {
        Target::Fixed(target) => target,
        Target::Dialled(port) => SocketAddr::from((dialled.ip(), port)),
    };
    // The proxy ends, and with it everything, where a rule cannot be waited for.
    let ready = rule.wait_for(|rule| rule.of(target.ip()) != Mode::Stall);
    let Ok(mode) = ready.await.map(|rule| rule.of(target.ip())) else {
        return;
    };
    match mode {
        Mode::HalfOpen => leave_alone(&near, target.ip(), &mut rule).await,
        Mode::Reset => reset(&near),
        Mode::Pass | Mode::Stall | Mode::Lose(_) => match TcpStream::connect(target).await {
            Ok(far) => pass(near, far, target.ip(), &mut rule).await,
            Err(_) => reset(&near),
        },
    }
}

/// Moves bytes until the connection ends or a fault ends it.
async fn pass(
    mut near: TcpStream,
    mut far: TcpStream,
    target: IpAddr,
    rule: &mut watch::Receiver<Rule>,
) {
    near.set_nodelay(true).ok();
    far.set_nodelay(true).ok();
    let generation = rule.borrow().generation;
    let fault = {
        let mut bytes = pin!(copy_bidirectional(&mut near, &mut far));
        loop {
            let mode = {
                let rule = rule.borrow_and_update();
                if rule.generation == generation {
                    rule.of(target)
                } else {
                    Mode::Lose(Lost::All)
                }
            };
            let changed = match mode {
                Mode::Pass => tokio::select! {
                    changed = rule.changed() => changed,
                    // A side that was reset is a reset for the other.
                    ended = &mut bytes => break ended.err().map(|_| Mode::Reset),
                },
                // Bytes move only while `bytes` is polled, so here none do.
                Mode::Stall => rule.changed().await,
                Mode::Reset | Mode::HalfOpen | Mode::Lose(_) => break Some(mode),
            };
            if changed.is_err() {
                return;
            }
        }
    };
    if let Some(Mode::Lose(lost)) = fault {
        return lose(near, far, lost).await;
    }
    if fault.is_some() {
        reset(&far);
        drop(far);
    }
    match fault {
        Some(Mode::HalfOpen) => leave_alone(&near, target, rule).await,
        Some(_) => reset(&near),
        None => {}
    }
}

/// Moves the bytes that are not lost, until the near side gives up, or gets the end of the far side.
async fn lose(mut near: TcpStream, mut far: TcpStream, lost: Lost) {
    let (mut from_near, mut to_near) = near.split();
    let (mut from_far, mut to_far) = far.split();
    let requests = async {
        match lost {
            Lost::Answers => copy(&mut from_near, &mut to_far).await,
            Lost::Requests | Lost::All => copy(&mut from_near, &mut sink()).await,
        }
    };
    let answers = async {
        match lost {
            Lost::Requests => copy(&mut from_far, &mut to_near).await,
            Lost::Answers | Lost::All => {
                copy(&mut from_far, &mut sink()).await.ok();
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        _ = requests => {}
        _ = answers => {}
    }
}

/// Keeps a connection without a target open until the fault ends. The next write of the client then fails.
async fn leave_alone(near: &TcpStream, target: IpAddr, rule: &mut watch::Receiver<Rule>) {
    let over = rule
        .wait_for(|rule| rule.of(target) != Mode::HalfOpen)
        .await;
    drop(over);
    reset(near);
}

/// Makes the end of a connection, which comes when it is dropped, a reset.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);
    /// After this time without bytes, a test assumes that none will come, even on a busy machine.
    const NOTHING: Duration = Duration::from_millis(300);

    /// A server that returns what it receives, on its own address.
    async fn echo(ip: [u8; 4]) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind((Ipv4Addr::from(ip), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut all = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                all.spawn(async move {
                    let (mut read, mut write) = stream.split();
                    copy(&mut read, &mut write).await.ok();
                });
            }
        });
        (address, tasks)
    }

    async fn says_back(stream: &mut TcpStream) {
        stream.write_all(b"a").await.unwrap();
        let mut byte = [0];
        let read = timeout(PATIENCE, stream.read_exact(&mut byte)).await;
        assert_eq!((read.unwrap().unwrap(), byte), (1, *b"a"));
    }

    async fn is_reset(stream: &mut TcpStream) {
        // Without a word first, or with one.
        stream.write_all(b"x").await.ok();
        let read = timeout(PATIENCE, stream.read_u8()).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    async fn is_silent(stream: &mut TcpStream) {
        stream.write_all(b"a").await.unwrap();
        assert!(timeout(NOTHING, stream.read_u8()).await.is_err());
    }

    #[tokio::test]
    async fn bytes_pass_until_connections_are_reset_and_again_after() {
        let (target, _echo) = echo([127, 0, 0, 1]).await;
        let proxy = Proxy::before(target).await.unwrap();
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut before).await;
        proxy.set(Mode::Reset);
        is_reset(&mut before).await;
        let mut during = TcpStream::connect(proxy.address()).await.unwrap();
        is_reset(&mut during).await;
        proxy.set(Mode::Pass);
        let mut after = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut after).await;
    }

    #[tokio::test]
    async fn what_is_sent_into_a_stall_arrives_after_it() {
        let (target, _echo) = echo([127, 0, 0, 1]).await;
        let proxy = Proxy::before(target).await.unwrap();
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut before).await;
        proxy.set(Mode::Stall);
        is_silent(&mut before).await;
        let mut during = TcpStream::connect(proxy.address()).await.unwrap();
        is_silent(&mut during).await;
        proxy.set(Mode::Pass);
        for stream in [&mut before, &mut during] {
            assert_eq!(
                timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap(),
                b'a'
            );
            says_back(stream).await;
        }
    }

    #[tokio::test]
    async fn a_half_open_connection_is_silent_and_worth_nothing_afterwards() {
        let (target, _echo) = echo([127, 0, 0, 1]).await;
        let proxy = Proxy::before(target).await.unwrap();
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut before).await;
        proxy.set(Mode::HalfOpen);
        is_silent(&mut before).await;
        proxy.set(Mode::Pass);
        is_reset(&mut before).await;
    }

    #[tokio::test]
    async fn connections_that_are_lost_stay_silent_and_new_ones_pass() {
        let (target, _echo) = echo([127, 0, 0, 1]).await;
        let proxy = Proxy::before(target).await.unwrap();
        let mut before = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut before).await;
        proxy.lose_all();
        let mut after = TcpStream::connect(proxy.address()).await.unwrap();
        says_back(&mut after).await;
        is_silent(&mut before).await;
        is_silent(&mut before).await;
        says_back(&mut after).await;
    }

    #[tokio::test]
    async fn one_direction_is_lost_for_good() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::before(listener.local_addr().unwrap()).await.unwrap();
        for (lost, hears_far, hears_near) in
            [(Lost::Answers, true, false), (Lost::Requests, false, true)]
        {
            proxy.set(Mode::Lose(lost));
            let mut near = TcpStream::connect(proxy.address()).await.unwrap();
            let (mut far, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
            near.write_all(b"n").await.unwrap();
            far.write_all(b"f").await.unwrap();
            for (stream, hears, byte) in
                [(&mut far, hears_far, b'n'), (&mut near, hears_near, b'f')]
            {
                if hears {
                    let read = timeout(PATIENCE, stream.read_u8()).await.unwrap();
                    assert_eq!(read.unwrap(), byte, "{lost:?}");
                } else {
                    assert!(
                        timeout(NOTHING, stream.read_u8()).await.is_err(),
                        "{lost:?}"
                    );
                }
            }
            // The connection is lost already, so the mode does not matter.
            proxy.set(Mode::Pass);
            near.write_all(b"n").await.unwrap();
            let read = timeout(NOTHING, far.read_u8()).await;
            assert_eq!(read.is_ok(), hears_far, "{lost:?}");
        }
    }

    #[tokio::test]
    async fn one_host_of_many_is_cut_off() {
        let (one, _one) = echo([127, 0, 0, 2]).await;
        let other = SocketAddr::from(([127, 0, 0, 3], one.port()));
        // The same port on another address, as kubelets have it.
        let listener = TcpListener::bind(other).await.unwrap();
        let proxy = Proxy::before_all(one.port()).await.unwrap();
        let dial = |host: SocketAddr| TcpStream::connect((host.ip(), proxy.address().port()));
        let mut cut = dial(one).await.unwrap();
        says_back(&mut cut).await;
        proxy.set_for(Mode::Reset, BTreeSet::from([one.ip()]));
        is_reset(&mut cut).await;
        let mut whole = dial(other).await.unwrap();
        whole.write_all(b"b").await.unwrap();
        let (mut far, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        assert_eq!(far.read_u8().await.unwrap(), b'b');
    }
}
