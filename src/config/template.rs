//! The commented configuration that `config init` writes.

/// What was answered to `config init`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Estate name.
    pub estate: String,
    /// `production`, `staging` or `development`.
    pub environment: String,
    /// IANA time zone of the plants.
    pub time_zone: String,
    /// Kubeconfig, when there is a cluster.
    pub kubeconfig: Option<String>,
    /// `host:port` of PostgreSQL.
    pub postgres: Option<String>,
    /// Whether it was seen to answer on this machine, and to speak no TLS.
    pub postgres_is_plain: bool,
    /// `redis://` URL.
    pub redis: Option<String>,
    /// Metrics URL of Traefik.
    pub traefik: Option<String>,
    /// Whether it is for the service of this machine, at which several people attach.
    pub system: bool,
}

/// A text as a TOML string.
pub(super) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// How the engine of a machine is reached, and where its files lie: as the packaged unit has it.
const SYSTEM: &str = "\n# The service of this machine (systemd unit quarterdeck); members of the group attach with `quarterdeck attach`.\n\
    [engine]\nsocket = \"/run/quarterdeck/engine.sock\"\nsocket_group = \"quarterdeck-console\"\n\
    \n[log]\ndir = \"/var/log/quarterdeck\"\n\
    \n# Measures for a Prometheus; see docs/metrics.md.\n# [metrics]\n# listen = \"127.0.0.1:9188\"\n\
    \n[journal]\ndir = \"/var/lib/quarterdeck/journal\"\n";

/// The same for one person's own.
const OWN: &str = "\n# [engine]                      # for consoles of several logins; see docs/serve.md\n\
    # socket = \"/run/quarterdeck/engine.sock\"\n# socket_group = \"quarterdeck-console\"\n\
    # [log]                        # JSON lines of the program itself; see docs/metrics.md\n# level = \"info\"\n\
    # [metrics]                    # measures of the program itself, for a Prometheus\n# listen = \"127.0.0.1:9188\"\n";

/// Who outside cosigns the journal.
const WITNESSES: &str = "\n# [journal]\n\
    # vkey = \"quarterdeck/acme-prod+1f2e3d4c+AX…\"   # the log's key, from `quarterdeck audit keys export`\n\
    # witness_quorum = 2           # so many administrators' witnesses must cover a high-risk step before it is sent\n\
    # max_uncosigned_age = \"10m\"   # a record that waits longer for them is an alarm\n\
    # [[journal.witness]]          # one table each; C2SP tlog-witness\n\
    # name = \"w1\"\n\
    # url = \"https://witness.example\"\n\
    # vkey = \"witness.example/w1+1f2e3d4c+BA…\"\n\
    # administrator = \"Example Ltd\"   # witnesses under one administrator count once\n\
    # ca = \"/etc/ssl/own-ca.pem\"   # where the system does not trust its authority\n";

/// Where the journal of several bastions lies.
const DATABASE: &str = "\n# One journal that the engines of several bastions write, in PostgreSQL with a synchronous standby: see docs/journal.md.\n\
    # `quarterdeck audit database init` prints the SQL for it; the directory of [journal] holds a copy then.\n\
    # [journal.postgres]\n# host = \"journal-db1.internal\"\n# port = 5432\n\
    # replicas = [\"journal-db2.internal\"]   # may take over; HOST or HOST:PORT\n\
    # database = \"quarterdeck_journal\"\n# user = \"quarterdeck_journal\"\n\
    # password = \"file:/etc/quarterdeck/journal.password\"\n\
    # tls = \"verify-full\"\n# ca = \"/etc/ssl/own-ca.pem\"\n# timeout = \"2s\"             # for one answer\n\
    # lease = \"15s\"              # an engine that is gone is taken over after so long\n\
    # [observe]\n# share = true               # those engines divide the sources between them: see docs/serve.md\n";

/// What of the journal stays here, and where the rest is moved.
const ARCHIVE: &str = "\n# What `quarterdeck audit archive` moves off this disk, and where to: into an archive of the estate's region, \n\
    # which is `region = \"eu-central\"` in [estate]. Without [journal.retention] it only copies.\n\
    # [journal.retention]\n\
    # days = 90                    # records stay for so long\n\
    # records = 100000             # and so many of the newest in any case\n\
    # [[journal.archive]]          # one table each; all of the estate's region get a copy\n\
    # region = \"eu-central\"\n\
    # dir = \"/srv/archive/acme-prod\"\n\
    # [[journal.archive]]\n\
    # region = \"eu-central\"\n\
    # s3 = { endpoint = \"https://s3.eu-central-1.example\", bucket = \"journal-archive\", signing_region = \"eu-central-1\", \
    access_key = \"env:QUARTERDECK_ARCHIVE_ACCESS_KEY\", secret_key = \"env:QUARTERDECK_ARCHIVE_SECRET_KEY\" }\n";

/// Who can open what records only commit to.
const OPENINGS: &str = "\n# Who can open the values of secret parameters, which the journal only commits to: public keys of age, made with\n\
    # `age-keygen`. Without one a playbook with a secret parameter is refused.\n\
    # [journal.openings]\n\
    # recipients = [\"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"]\n";

/// What else a console of this file holds.
const ESTATES: &str = "\n# Other estates that a console of this file holds too, each with its own engine and journal; see docs/estates.md.\n\
    # [[estates]]\n# name = \"acme-us\"             # as its own configuration calls it\n\
    # socket = \"/run/quarterdeck/us/engine.sock\"   # or config = \"acme-us.toml\"\n";

/// Who backs up, who is told, and what can be cut off.
const OUTSIDE: &str = "\n# [oidc]                       # where people prove a second factor; see docs/identity.md\n\
    # issuer = \"https://login.example/realms/ops\"\n# client_id = \"quarterdeck\"\n# amr = [\"otp\", \"hwk\"]\n\
    \n# [[pgbouncer]]\n# id = \"pool-a\"\n# host = \"127.0.0.1\"\n# user = \"stats\"\n\
    # act = { user = \"quarterdeck_act\", password = \"env:QUARTERDECK_POOL_PASSWORD\" }   # one of its admin_users\n\
    # databases_file = \"/etc/pgbouncer/databases.ini\"   # included below [databases], for pgbouncer_repoint\n\
    # [[patroni]]\n# id = \"patroni-a\"\n# url = \"https://db1.internal:8008\"\n\
    # act = { user = \"quarterdeck\", password = \"env:QUARTERDECK_PATRONI_PASSWORD\" }\n\
    # [[pgbackrest]]\n# id = \"backup-a\"\n# stanza = \"main\"\n\
    # command = [\"sudo\", \"-n\", \"-u\", \"postgres\", \"pgbackrest\"]\n\
    # restore_dir = \"/var/lib/pgbackrest/aside\"\n\
    # [[integration]]              # what a tenant exchanges with others, through a channel of queue_job\n\
    # id = \"edi-t001\"\n# tenant = \"t001\"\n# channel = \"root.edi\"\n\
    # switch = \"edi.enabled\"       # ir_config_parameter that its module asks; open = \"False\", closed = \"True\"\n\
    # measure = { url = \"https://edi.example/health\", fields = { ok = \"/up\", backlog = \"/queue/depth\" } }\n\
    # [[bucket]]                   # object storage that backups lie in; see docs/sources.md\n\
    # id = \"backups\"\n# endpoint = \"https://s3.eu-west-1.example\"\n# bucket = \"pg-backups\"\n\
    # access_key = \"env:QUARTERDECK_BUCKET_ACCESS_KEY\"\n# secret_key = \"env:QUARTERDECK_BUCKET_SECRET_KEY\"\n\
    # [[restore_test]]             # when a restore was last tested: from the journal, or from a report\n\
    # id = \"restore-a\"\n# of = \"backup-a\"\n\
    # [[standby]]                  # a region that takes over, by the sources that it needs\n\
    # id = \"dr-eu-west\"\n# region = \"eu-west\"\n# needs = [\"pg-b\", \"k8s-2\"]\n\
    # [cost]                       # what unused capacity costs, in `report governance`\n\
    # currency = \"EUR\"\n# core_hour = 0.03\n# gib_hour = 0.004\n\
    # [[probe]]                    # asked from here, as people outside reach it\n\
    # id = \"front-t001\"\n# url = \"https://t001.example/web/login\"\n\
    # [[prometheus]]               # signals where direct access is not given; see docs/sources.md\n\
    # id = \"prom-1\"\n# url = \"http://prometheus.internal:9090\"\n\
    # [[alertmanager]]             # its alerts as findings; webhook = { secret = \"file:/etc/quarterdeck/hook\" } listens too\n\
    # id = \"alerts\"\n# url = \"http://alertmanager.internal:9093\"\n\
    # [[webhook]]                  # what http.webhook may call; url may be a secret reference\n\
    # id = \"ci-hold\"\n# url = \"https://ci.example/hold\"\n# token = \"env:QUARTERDECK_CI_TOKEN\"\n\
    # [comms]\n# dir = \"/var/spool/quarterdeck\"   # where comms.file leaves messages\n\
    # [comms.smtp]\n# host = \"mail.acme.example\"\n# tls = \"starttls\"           # starttls, tls, none\n\
    # from = \"Operations <noc@acme.example>\"\n# user = \"noc\"\n# password = \"env:QUARTERDECK_MAIL_PASSWORD\"\n\
    # [[comms.audience]]\n# name = \"dba-oncall\"\n# email = [\"dba@acme.example\"]\n\
    # webhook = \"file:/etc/quarterdeck/chat-url\"\n\
    # page = { kind = \"pagerduty\", key = \"env:QUARTERDECK_PAGER_KEY\" }   # or opsgenie\n\
    # [[comms.oncall]]             # who it is today: a roster file, or the schedule of a service\n\
    # name = \"network-oncall\"\n# then = [\"dba-oncall\"]\n\
    # schedule = { kind = \"pagerduty\", id = \"PI7DH85\", key = \"env:QUARTERDECK_ONCALL_KEY\" }\n";

/// Writes the file; every table that has no answer stands there as a comment.
pub fn render(answers: &Answers) -> String {
    let table = |name: &str, answer: Option<&String>, lines: &[(&str, String)], comments: &[&str]| {
        let mark = if answer.is_some() { "" } else { "# " };
        let mut text = format!("\n{mark}[[{name}]]\n");
        for (key, value) in lines {
            text.push_str(&format!("{mark}{key} = {value}\n"));
        }
        for comment in comments {
            text.push_str(&format!("# {comment}\n"));
        }
        text
    };
    let or = |answer: &Option<String>, default: &str| answer.clone().unwrap_or_else(|| default.to_owned());
    let postgres = or(&answers.postgres, "127.0.0.1:5432");
    let (host, port) = postgres.rsplit_once(':').unwrap_or((&postgres, "5432"));
    let mut text = String::from(
        "# Configuration of quarterdeck. `quarterdeck config check` reads it; `quarterdeck doctor` tries it.\n\
         # Secrets are references: env:NAME, file:PATH (mode 0600), command:PROGRAM ARG, kubernetes:CLUSTER/NAMESPACE/NAME#KEY,\n\
         # vault:ID/PATH#KEY.\n\n[estate]\n",
    );
    text.push_str(&format!("name = {}\n", quote(&answers.estate)));
    text.push_str(&format!("environment = {}   # production, staging, development\n", quote(&answers.environment)));
    text.push_str(&format!("time_zone = {}\n", quote(&answers.time_zone)));
    text.push_str(&table(
        "kubernetes",
        answers.kubeconfig.as_ref(),
        &[("id", quote("k8s")), ("kubeconfig", quote(&or(&answers.kubeconfig, "/path/to/kubeconfig")))],
        &["act_kubeconfig = \"…\"   # credentials for verbs; without them this cluster is only observed"],
    ));
    text.push_str(&table(
        "postgres",
        answers.postgres.as_ref(),
        &[
            ("id", quote("pg-a")),
            ("host", quote(host)),
            ("port", port.to_owned()),
            ("user", quote("quarterdeck_observe")),
            ("password", quote("env:QUARTERDECK_PG_PASSWORD")),
            ("tls", quote(if answers.postgres_is_plain { "disable" } else { "verify-full" })),
        ],
        &["act = { user = \"quarterdeck_act\", password = \"env:QUARTERDECK_PG_ACT_PASSWORD\" }"],
    ));
    text.push_str(&table(
        "redis",
        answers.redis.as_ref(),
        &[
            ("id", quote("redis-q")),
            ("url", quote(&or(&answers.redis, "redis://127.0.0.1:6379/0"))),
            ("purpose", quote("queue")),
        ],
        &["user = \"observe\"", "password = \"env:QUARTERDECK_REDIS_PASSWORD\""],
    ));
    text.push_str(&table(
        "traefik",
        answers.traefik.as_ref(),
        &[("id", quote("edge-1")), ("metrics", quote(&or(&answers.traefik, "http://127.0.0.1:8082/metrics")))],
        &[
            "api = \"http://127.0.0.1:8080\"",
            "dynamic_dir = \"/etc/traefik/dynamic\"   # where maintenance routes are written",
            "maintenance_url = \"http://maintenance.internal\"",
            "probe_url = \"http://127.0.0.1\"",
        ],
    ));
    text.push_str(
        "\n# What delivers changes to a cluster: Argo CD, Flux, or both.\n# [[delivery]]\n# id = \"gitops\"\n\
         # cluster = \"k8s\"\n# argocd_namespace = \"argocd\"\n# flux = true\n\
         \n# Pipelines that deliver: what holds them while an incident lasts.\n# [[ci]]\n# id = \"pipelines\"\n\
         # kind = \"gitlab\"            # or github\n# url = \"https://gitlab.example/api/v4\"\n\
         # project = \"erp/odoo\"\n# token = \"env:QUARTERDECK_CI_TOKEN\"\n\
         # workflows = [\"deploy.yml\"]   # github only: the files that deliver\n",
    );
    text.push_str(
        "\n# One table a tenant.\n# [[tenant]]\n# id = \"t001\"\n# name = \"Aldous Ltd\"\n# tenancy = \"multi-tenant\"   # or dedicated\n\
         # criticality = 3             # 1 is the most critical\n# plants = [\"Leeds\"]\n\
         # owner = \"team erp\"\n\
         # slo = 99.9\n\
         # processes = [{ what = \"order entry\", rto = \"30m\", rpo = \"5m\" }]\n\
         # cutoffs = [{ what = \"receiving starts\", at = \"06:00\", time_zone = \"Europe/London\" }]\n\
         # database = { instance = \"pg-a\", name = \"t001\" }\n\
         # kubernetes = { cluster = \"k8s\", namespace = \"t001\", web = \"odoo\", workers = \"odoo-worker\" }\n\
         # router = { ingress = \"edge-1\", name = \"t001@file\", host = \"t001.example\" }\n",
    );
    text.push_str(OUTSIDE);
    // The table of the journal, before the tables below it.
    text.push_str(if answers.system { SYSTEM } else { OWN });
    text.push_str(DATABASE);
    text.push_str(WITNESSES);
    text.push_str(
        "\n# Copies of the journal where nobody here can overwrite them: a bucket with versioning, and object lock in\n\
         # compliance mode with a default retention. The key needs to put, get and list, and nothing else.\n\
         # [journal.anchor]\n# endpoint = \"https://s3.eu-central-1.example\"\n# bucket = \"journal-anchors\"\n\
         # prefix = \"quarterdeck/acme-prod\"   # by default quarterdeck/ and the estate's name\n\
         # region = \"eu-central-1\"\n# access_key = \"env:QUARTERDECK_ANCHOR_ACCESS_KEY\"\n\
         # secret_key = \"env:QUARTERDECK_ANCHOR_SECRET_KEY\"\n# interval = \"30s\"         # least time between two copies\n\
         # retention_days = 365     # what the bucket must promise; `doctor` says when it does not\n\
         # evidence = true          # what is copied can not be deleted before the retention ends\n\
         # ca = \"/etc/ssl/own-ca.pem\"\n",
    );
    text.push_str(ARCHIVE);
    text.push_str(OPENINGS);
    text.push_str(ESTATES);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_can_be_read_with_and_without_answers() {
        let mut answers = Answers {
            estate: "acme-prod".into(),
            environment: "production".into(),
            time_zone: "Europe/Berlin".into(),
            ..Answers::default()
        };
        let config = crate::config::decode::decode("f", &render(&answers)).unwrap();
        assert_eq!(config.estate.name, "acme-prod");
        answers.postgres = Some("db.internal:5433".into());
        answers.kubeconfig = Some("/k".into());
        answers.redis = Some("redis://r:1/0".into());
        answers.traefik = Some("http://t/metrics".into());
        let config = crate::config::decode::decode("f", &render(&answers)).unwrap();
        assert_eq!((config.postgres.len(), config.redis.len(), config.traefik.len()), (1, 1, 1));
        assert_eq!(config.postgres[0].port, 5433);
        assert_eq!(config.postgres[0].tls, crate::config::model::Tls::VerifyFull);
        assert_eq!((config.engine.socket, config.journal.dir), (None, None));
        answers.system = true;
        let config = crate::config::decode::decode("f", &render(&answers)).unwrap();
        assert_eq!(config.engine.socket.unwrap(), std::path::Path::new("/run/quarterdeck/engine.sock"));
        assert_eq!(config.journal.dir.unwrap(), std::path::Path::new("/var/lib/quarterdeck/journal"));
    }

    /// The file that packages ship. `UPDATE_PACKAGED=1` writes it.
    #[test]
    fn the_packaged_configuration_is_what_init_writes_and_can_be_read() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/config.toml");
        let answers = Answers {
            estate: "acme-prod".into(),
            environment: "production".into(),
            time_zone: "Europe/Berlin".into(),
            system: true,
            ..Answers::default()
        };
        let text = render(&answers);
        if std::env::var_os("UPDATE_PACKAGED").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(kept == text, "packaging/config.toml is another one; UPDATE_PACKAGED=1 writes it");
        let config = crate::config::decode::decode(path, &kept).unwrap();
        assert_eq!(config.engine.socket_group.as_deref(), Some("quarterdeck-console"));
        let unit = include_str!("../../packaging/quarterdeck.service");
        assert!(unit.contains("--config /etc/quarterdeck/config.toml serve"));
        for (folder, kept_by) in [
            ("/run/quarterdeck", "RuntimeDirectory"),
            ("/var/lib/quarterdeck", "StateDirectory"),
            ("/var/log/quarterdeck", "LogsDirectory"),
        ] {
            assert!(kept.contains(folder) && unit.contains(&format!("{kept_by}=quarterdeck\n")), "{folder}");
        }
    }
}
