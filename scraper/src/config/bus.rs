//! The flags about the bus.

use super::{BadConfig, pair};
use crate::{
    args::BusArgs,
    bus::frontend::{BusSecurity, Frontend},
};

/// Where we publish, and how.
pub(super) fn bus(args: BusArgs) -> Result<(Vec<Frontend>, BusSecurity), BadConfig> {
    if args.bus_client_key.is_some() != args.bus_client_certificate.is_some() {
        return Err(BadConfig::NeedBoth(
            "--bus-client-key",
            "--bus-client-certificate",
        ));
    }
    let frontends: Vec<Frontend> = args
        .frontend
        .iter()
        .map(|url| url.parse())
        .collect::<Result<_, _>>()?;
    if frontends.is_empty() {
        return Err(BadConfig::NoFrontend);
    }
    for frontend in &frontends {
        match frontend {
            Frontend::Http { .. } if !args.bus_insecure => {
                return Err(BadConfig::Insecure(frontend.clone()));
            }
            Frontend::Https { .. } if args.bus_ca_file.is_none() => {
                return Err(BadConfig::NoAuthority(frontend.clone()));
            }
            Frontend::Dns { .. } | Frontend::Service(_)
                if args.bus_ca_file.is_none() && !args.bus_insecure =>
            {
                return Err(BadConfig::NoAuthority(frontend.clone()));
            }
            Frontend::Http { .. }
            | Frontend::Https { .. }
            | Frontend::Dns { .. }
            | Frontend::Service(_)
            | Frontend::Unix { .. } => {}
        }
    }
    let security = BusSecurity {
        pair: pair(
            args.bus_client_certificate.as_ref(),
            args.bus_client_key.as_ref(),
        ),
        ca_file: args.bus_ca_file,
        token_file: args.bus_token_file,
        server_name: args.bus_server_name,
        insecure: args.bus_insecure,
    };
    Ok((frontends, security))
}
