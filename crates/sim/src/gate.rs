//! A listener that can be closed and opened again while its server runs.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The wait before another attempt, if an address is in use or accepting failed.
const RETRY: Duration = Duration::from_millis(10);

/// The wanted state of the gate, and a number that grows with every order.
#[derive(Clone, Copy, Debug)]
struct Order {
    number: u64,
    open: bool,
}

/// Opens and closes one listener, and owns its connections.
#[derive(Debug)]
pub(crate) struct Gate {
    order: watch::Sender<Order>,
    /// The number of the newest completed order.
    done: watch::Sender<u64>,
    stop: CancellationToken,
}

impl Gate {
    pub(crate) fn new(stop: CancellationToken) -> Self {
        let order = watch::Sender::new(Order {
            number: 0,
            open: true,
        });
        Self {
            order,
            done: watch::Sender::new(0),
            stop,
        }
    }

    /// Cuts every connection, and opens or closes the listener. Returns when that is done.
    pub(crate) async fn set(&self, open: bool) {
        let mut number = 0;
        self.order.send_modify(|order| {
            number = order.number + 1;
            *order = Order { number, open };
        });
        let mut done = self.done.subscribe();
        tokio::select! {
            // This cannot fail, because the sender lives in `self`.
            _ = done.wait_for(|done| *done >= number) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Ends [`Self::run`] and its connections.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Serves connections, at most `limit` at a time, until stopped; more are closed at once.
    pub(crate) async fn run<F>(
        &self,
        address: SocketAddr,
        listener: TcpListener,
        limit: usize,
        serve: impl Fn(TcpStream) -> F + Send,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut listener = Some(listener);
        let mut orders = self.order.subscribe();
        let mut connections = JoinSet::new();
        let mut carried_out = 0;
        while !self.stop.is_cancelled() {
            let order = *orders.borrow_and_update();
            if order.number != carried_out {
                connections.shutdown().await;
                listener = None;
                carried_out = order.number;
            }
            if order.open && listener.is_none() {
                let Ok(bound) = TcpListener::bind(address).await else {
                    tokio::time::sleep(RETRY).await;
                    continue;
                };
                listener = Some(bound);
            }
            self.done.send_replace(order.number);
            tokio::select! {
                () = self.stop.cancelled() => return,
                // This cannot fail, because the sender lives in `self`.
                _ = orders.changed() => {}
                stream = accept(listener.as_ref()) => match stream {
                    Some(stream) if connections.len() < limit => {
                        connections.spawn(serve(stream));
                    }
                    Some(_) => {}
                    None => tokio::time::sleep(RETRY).await,
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
    }
}

/// The next connection. `None` if accepting failed. Never resolves without a listener.
async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        None => std::future::pending().await,
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
    }
}
