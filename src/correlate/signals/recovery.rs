//! What tells how much would be lost and whether it comes back.

use super::SubjectKind::{Backup, Instance, Tenant};
use super::{Signal, high, low, plain};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
    high(
        "backup.age",
        Unit::Seconds,
        &[Backup],
        "time since the newest good backup ended",
        "pgbackrest info, Cluster status.lastSuccessfulBackup, Backup status, newest object of a bucket",
        93_600.0,
        180_000.0,
    ),
    high(
        "backup.failed",
        Unit::Flag,
        &[Backup],
        "whether the newest backup failed",
        "pgbackrest info status, Backup status.phase",
        0.5,
        2.0,
    ),
    plain(
        "backup.kept",
        Unit::Count,
        &[Backup],
        "good backups kept",
        "pgbackrest info backup, Backup objects, objects of a bucket",
    ),
    plain("backup.size", Unit::Bytes, &[Backup], "bytes of the newest backup", "newest object of a bucket"),
    high(
        "backup.skew",
        Unit::Seconds,
        &[Tenant],
        "time between the newest dump and the newest copy of the filestore",
        "newest objects below the prefixes of [[bucket.pair]]",
        3600.0,
        21_600.0,
    ),
    low(
        "backup.apart",
        Unit::Flag,
        &[Backup],
        "whether the backups lie in another region than what they are of",
        "`region` of [[bucket]], [[service]] and [estate]",
        0.5,
        -1.0,
    ),
    high(
        "recovery.rpo",
        Unit::Seconds,
        &[Backup, Instance],
        "what would be lost if the primary were gone now: age of what is archived last",
        "pg_stat_archiver last_archived_time, pgbackrest info archive",
        900.0,
        3600.0,
    ),
    high(
        "restore_test.age",
        Unit::Days,
        &[Backup],
        "days since a restore was last tested",
        "the record of the restore test",
        30.0,
        60.0,
    ),
    low(
        "bucket.locked",
        Unit::Flag,
        &[Backup],
        "whether what lies in the bucket can not be deleted before its time",
        "GetObjectLockConfiguration, HeadObject",
        0.5,
        0.5,
    ),
    low(
        "bucket.versioned",
        Unit::Flag,
        &[Backup],
        "whether the bucket keeps what is overwritten",
        "GetBucketVersioning",
        0.5,
        -1.0,
    ),
    plain(
        "bucket.retention",
        Unit::Days,
        &[Backup],
        "days for which the bucket keeps what is put there",
        "GetObjectLockConfiguration DefaultRetention",
    ),
];
