//! What the command line asks for.

use lexopt::prelude::*;

use crate::bench;
use crate::store::Store;

pub(crate) const HELP: &str = "\
cargo xtask COMMAND

  test [LANE...]     set up what the tests need and run them all, as lanes
      --list         name the lanes and do nothing
      --fail-fast    stop at the first failure
  ci [LANE...]       the lanes of `test`, and format, lints, docs, licences, each crate alone
      --list, --fail-fast
      --with-deny    install cargo-deny below the target folder where it is missing (minutes)
  demo               how locks fail, played in the simulator, as pages to open in a browser
      --real         processes that contend for a lock on a real Redis, and are killed and frozen
      --store etcd   with --real: on a real etcd (`redis` is the default)
      --no-server    as --real, with tasks on the memory store
  bench [CASE...]    what locks cost, beside the least they can cost, on a real Redis and a real etcd
                     (sequential parallel-64 contended-16 contended-processes ping-pong-2
                     idle-waiters stampede held-10000; without one: all of them)
      --store STORE  on `redis` or on `etcd` only
      --quick        a few minutes once built, and less precise
  soak               processes killed, frozen and cancelled at random on a real Redis, for 5 minutes
      --seconds N    for so long
  servers up         start a real Redis for manual work and print its URL
      --valkey       and a Valkey
      --etcd         and an etcd of one member
      --etcd-cluster and an etcd of three
  servers status     say what runs
  servers down       stop what `servers up` started

Where there is no redis-server or etcd, xtask installs it with apt-get when it may, and says so
first; and so Chromium, Node and npm for the lane `browser`, which is skipped without them.
DLOCK_TEST_REDIS_SERVER=/path/to/redis-server names another one, DLOCK_TEST_ETCD_SERVER another
etcd, whose etcdctl is looked for beside it, or where DLOCK_TEST_ETCDCTL says, and
DLOCK_TEST_CHROMIUM another browser.";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Help,
    Test(Selection),
    Ci {
        selection: Selection,
        with_deny: bool,
    },
    Servers(ServersRequest),
    Demo(Demo),
    Bench(bench::Options),
    Soak {
        seconds: u32,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Demo {
    /// The simulator's scenarios.
    Catalogue,
    /// Contenders that are killed and frozen.
    Real {
        /// `None`: without a server.
        store: Option<Store>,
    },
}

/// Which lanes, and how.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Empty: all of them.
    pub(crate) lanes: Vec<String>,
    pub(crate) list: bool,
    pub(crate) fail_fast: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ServersRequest {
    Up(Wanted),
    Status,
    Down,
}

/// What is started besides a Redis.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) valkey: bool,
    pub(crate) etcd: bool,
    pub(crate) etcd_cluster: bool,
}

pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let command = match arguments.next()? {
        None | Some(Short('h') | Long("help")) => return Ok(Request::Help),
        Some(Value(command)) => command.string()?,
        Some(other) => return Err(other.unexpected()),
    };
    match command.as_str() {
        "help" => Ok(Request::Help),
        "test" => lanes(arguments, false),
        "ci" => lanes(arguments, true),
        "demo" => demo(arguments),
        "bench" => bench(arguments),
        "soak" => soak(arguments),
        "servers" => servers(arguments),
        _ => Err(format!("there is no command `{command}`").into()),
    }
}

fn lanes(mut arguments: lexopt::Parser, ci: bool) -> Result<Request, lexopt::Error> {
    let mut selection = Selection::default();
    let mut with_deny = false;
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("list") => selection.list = true,
            Long("fail-fast") => selection.fail_fast = true,
            Long("with-deny") if ci => with_deny = true,
            Value(lane) => selection.lanes.push(lane.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(if ci {
        Request::Ci {
            selection,
            with_deny,
        }
    } else {
        Request::Test(selection)
    })
}

fn demo(mut arguments: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut real = false;
    let mut no_server = false;
    let mut store = None;
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("real") => real = true,
            Long("no-server") => no_server = true,
            Long("store") => store = Some(arguments.value()?.parse()?),
            _ => return Err(argument.unexpected()),
        }
    }
    match (real, no_server, store) {
        (_, true, Some(_)) => Err("`--store` needs a server: leave out --no-server".into()),
        (_, true, None) => Ok(Request::Demo(Demo::Real { store: None })),
        (true, false, store) => Ok(Request::Demo(Demo::Real {
            store: store.or(Some(Store::Redis)),
        })),
        (false, false, Some(store)) => {
            Err(format!("the simulator plays every store: `demo --real --store {store}`").into())
        }
        (false, false, None) => Ok(Request::Demo(Demo::Catalogue)),
    }
}

fn bench(mut arguments: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut options = bench::Options::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("quick") => options.quick = true,
            Long("store") => options.store = Some(arguments.value()?.parse()?),
            Value(case) => options.cases.push(case.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Request::Bench(options))
}

fn soak(mut arguments: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut seconds = 300;
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("seconds") => seconds = arguments.value()?.parse()?,
            _ => return Err(argument.unexpected()),
        }
    }
    if seconds == 0 {
        return Err("`soak --seconds 0` would show nothing: say 1 or more".into());
    }
    Ok(Request::Soak { seconds })
}

fn servers(mut arguments: lexopt::Parser) -> Result<Request, lexopt::Error> {
    let mut action = None;
    let mut wanted = Wanted::default();
    while let Some(argument) = arguments.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Request::Help),
            Long("valkey") => wanted.valkey = true,
            Long("etcd") => wanted.etcd = true,
            Long("etcd-cluster") => wanted.etcd_cluster = true,
            Value(word) if action.is_none() => action = Some(word.string()?),
            _ => return Err(argument.unexpected()),
        }
    }
    match action.as_deref() {
        Some("up") => Ok(Request::Servers(ServersRequest::Up(wanted))),
        Some(_) if wanted != Wanted::default() => {
            Err("--valkey, --etcd and --etcd-cluster belong to `servers up`".into())
        }
        Some("status") => Ok(Request::Servers(ServersRequest::Status)),
        Some("down") => Ok(Request::Servers(ServersRequest::Down)),
        Some(other) => Err(format!("`servers {other}`: say up, status or down").into()),
        None => Err("`servers`: say up, status or down".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Request, String> {
        let words = std::iter::once("xtask").chain(line.split_whitespace());
        parse(lexopt::Parser::from_iter(words)).map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_the_help_is_shown() {
        for line in ["", "help", "-h", "test --help", "servers -h", "demo --help"] {
            assert_eq!(parsed(line), Ok(Request::Help), "{line:?}");
        }
    }

    #[test]
    fn lanes_and_flags_may_come_in_any_order() {
        let expected = Selection {
            lanes: vec!["loom".into(), "doc".into()],
            list: false,
            fail_fast: true,
        };
        for line in [
            "test loom --fail-fast doc",
            "test --fail-fast -- loom doc",
            "test loom doc --fail-fast",
        ] {
            let Ok(Request::Test(selection)) = parsed(line) else {
                panic!("{line}");
            };
            assert_eq!(selection, expected, "{line}");
        }
    }

    #[test]
    fn only_ci_takes_with_deny() {
        assert!(matches!(
            parsed("ci --with-deny"),
            Ok(Request::Ci {
                with_deny: true,
                ..
            })
        ));
        assert!(parsed("test --with-deny").is_err());
    }

    #[test]
    fn the_bench_takes_cases_and_a_store() {
        let expected = bench::Options {
            quick: true,
            store: Some(Store::Etcd),
            cases: vec!["stampede".into()],
        };
        assert_eq!(
            parsed("bench stampede --store etcd --quick"),
            Ok(Request::Bench(expected))
        );
        for line in ["bench --store", "bench --store zookeeper", "bench --slow"] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn the_soak_takes_a_time() {
        assert_eq!(parsed("soak"), Ok(Request::Soak { seconds: 300 }));
        assert_eq!(parsed("soak --seconds 7"), Ok(Request::Soak { seconds: 7 }));
        for line in [
            "soak 7",
            "soak --seconds",
            "soak --seconds long",
            "soak --seconds 0",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn the_demo_is_simulated_or_plays_on_one_real_store() {
        assert_eq!(parsed("demo"), Ok(Request::Demo(Demo::Catalogue)));
        for (line, store) in [
            ("demo --real", Some(Store::Redis)),
            ("demo --real --store redis", Some(Store::Redis)),
            ("demo --store=etcd --real", Some(Store::Etcd)),
            ("demo --real --no-server", None),
            ("demo --no-server", None),
        ] {
            let real = Request::Demo(Demo::Real { store });
            assert_eq!(parsed(line), Ok(real), "{line:?}");
        }
        for line in [
            "demo --real --store",
            "demo --real --store zookeeper",
            "demo --real --store etcd --no-server",
            "demo --store etcd --no-server",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
        let error = parsed("demo --store etcd").unwrap_err();
        assert!(error.contains("demo --real --store etcd"), "{error}");
    }

    #[test]
    fn servers_takes_one_action() {
        let up = |valkey, etcd, etcd_cluster| {
            Ok(Request::Servers(ServersRequest::Up(Wanted {
                valkey,
                etcd,
                etcd_cluster,
            })))
        };
        assert_eq!(parsed("servers --valkey up"), up(true, false, false));
        assert_eq!(parsed("servers up --etcd"), up(false, true, false));
        assert_eq!(parsed("servers up --etcd-cluster"), up(false, false, true));
        for line in [
            "servers",
            "servers sideways",
            "servers up down",
            "servers down --valkey",
            "servers status --etcd",
            "servers up --etcd-clusters",
        ] {
            assert!(parsed(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn an_unknown_word_is_named_in_the_error() {
        assert!(parsed("tset").unwrap_err().contains("`tset`"));
        assert!(parsed("demo now").is_err());
        assert!(parsed("--list").is_err());
    }
}
