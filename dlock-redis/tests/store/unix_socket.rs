use dlock_redis::{Error, RedisStore};

use crate::support::{Server, unique};
use crate::{acquire, name};

#[tokio::test]
async fn a_unix_socket_works() {
    let path = std::env::temp_dir().join(unique("dlock.sock"));
    let path = path.to_str().unwrap();
    let Some(server) = Server::start_with(&["--unixsocket", path]) else {
        return;
    };
    let store = RedisStore::connect(format!("unix://{path}?db=3"))
        .await
        .unwrap();
    acquire(&store, &name(unique("unix"))).await;
    assert!(format!("{store:?}").contains(path));
    drop(server);
    let error = RedisStore::connect(format!("unix://{path}.gone?pass=hunter2"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(!format!("{error:?}").contains("hunter2"));
    let _ = std::fs::remove_file(path);
}
