use dlock_etcd::etcd_client::{Client, ConnectOptions, Permission};

use super::{Member, PATIENCE, raw, within};

/// Of everybody but root. No error may show it.
pub const PASSWORD: &str = "hunter2-hunter2";

const ROOT: (&str, &str) = ("root", "roots-own-password");

/// A member that asks for a user and a password; `None`: there is no etcd, and the test should return.
pub async fn guarded(
    arguments: &[&str],
    users: impl IntoIterator<Item = (&str, Vec<Permission>)>,
) -> Option<Member> {
    let mut all = vec!["--bcrypt-cost", "4"];
    all.extend(arguments);
    let member = Member::start_with(&all)?;
    guard(raw(&member.endpoint()).await, users).await;
    Some(member)
}

/// The same with a member that runs. There is a role for each user, which has its name.
pub async fn guard(mut client: Client, users: impl IntoIterator<Item = (&str, Vec<Permission>)>) {
    let setting_up = async {
        client.user_add(ROOT.0, ROOT.1, None).await?;
        client.user_grant_role(ROOT.0, "root").await?;
        for (user, permissions) in users {
            client.user_add(user, PASSWORD, None).await?;
            client.role_add(user).await?;
            for permission in permissions {
                client.role_grant_permission(user, permission).await?;
            }
            client.user_grant_role(user, user).await?;
        }
        client.auth_enable().await
    };
    within(PATIENCE, setting_up).await.unwrap();
}

/// The plain client of somebody who may do everything.
pub async fn root(member: &Member) -> Client {
    let options = ConnectOptions::new().with_user(ROOT.0, ROOT.1);
    within(
        PATIENCE,
        Client::connect([member.endpoint()], Some(options)),
    )
    .await
    .unwrap()
}
