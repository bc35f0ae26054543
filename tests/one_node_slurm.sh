#!/usr/bin/env bash
# Starts a one-node Slurm on this Debian machine, for tests: run it as root.
#
# It installs Debian's Slurm and munge where they are missing, writes a munge key where there is
# none, writes slurm.conf, starts munged, slurmctld and slurmd without systemd, and waits until the
# node is idle.  A second run leaves a healthy cluster of the same configuration as it is; otherwise
# it cancels all jobs and starts the Slurm daemons anew.
# On a machine of a real cluster, one with another slurm.conf, it stops before it changes anything.
set -euo pipefail
[[ $EUID -eq 0 ]] || { echo "one_node_slurm.sh: run it as root" >&2; exit 1; }
export PATH=$PATH:/usr/sbin:/sbin
host=$(hostname -s) conf=/etc/slurm/slurm.conf state=/var/lib/slurm/one_node logs=/var/log/slurm
node_state() { timeout 10 sinfo -h -N -n "$host" -o %T 2>/dev/null || true; }
runs() { [[ $(readlink "/proc/$(cat "/run/$1.pid" 2>/dev/null)/exe") == */$1* ]]; }

if [[ -e $conf ]] && ! grep -q '^ClusterName=one$' "$conf"; then
    echo "one_node_slurm.sh: $conf is another cluster's; nothing was changed" >&2
    exit 1
fi

# Packages.  A policy-rc.d that answers 101 keeps their install scripts from starting daemons.
if ! { type slurmctld && type slurmd && type sbatch && type munged; } >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    if [[ ! -e /usr/sbin/policy-rc.d ]]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        install -m 755 <(printf '#!/bin/sh\nexit 101\n') /usr/sbin/policy-rc.d
    fi
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends slurmctld slurmd slurm-client munge >/dev/null
fi

# The host's name must resolve, or the daemons wait for the name server again and again.
getent hosts "$host" >/dev/null || echo "127.0.0.1 $(hostname) $host" >>/etc/hosts

# munge, which signs Slurm's messages: its key and socket folder must be its own user's.
[[ -s /etc/munge/munge.key ]] || mungekey --create --force
chown munge: /etc/munge/munge.key && chmod 400 /etc/munge/munge.key
install -d -o munge -g munge -m 755 /run/munge
munge -n 2>/dev/null | unmunge >/dev/null 2>&1 || runuser -u munge -- munged --force

# The configuration.  cred_expire is also how long a requeued job waits until it may start again:
# 120 s by default, 5 s is the least.
install -d -m 755 /etc/slurm "$state/ctld" "$state/d" "$logs"
cat >"$conf.new" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthInfo=cred_expire=5
StateSaveLocation=$state/ctld
SlurmdSpoolDir=$state/d
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=$logs/slurmctld.log
SlurmdLogFile=$logs/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
JobRequeue=1
KillWait=5
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc) \
RealMemory=$(awk '/^MemTotal:/ { print int($2 / 1024 * 0.9 / 256) * 256 }' /proc/meminfo) State=UNKNOWN
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
if cmp -s "$conf.new" "$conf" && runs slurmctld && runs slurmd \
        && [[ $(node_state) =~ ^(idle|mixed|allocated|completing)$ ]]; then
    echo "Slurm is up already on $host: $(node_state)"
    exit 0
fi

# Stop what an earlier run left (SIGTERM, up to 20 s each), then start with an empty queue.
! runs slurmctld || timeout 10 scancel --partition=main || true
for daemon in slurmd slurmctld; do
    for ((i = 0; i < 100; i++)); do
        runs "$daemon" && kill "$(cat "/run/$daemon.pid")" && sleep 0.2 || break
    done
done
cp "$conf.new" "$conf"
slurmctld -c
slurmd -c

deadline=$((SECONDS + 60))
while ((SECONDS < deadline)); do
    if [[ $(node_state) == idle ]]; then
        echo "Slurm is up on $host: $(sinfo -h -o '%P %c CPUs, %m MB, %T')"
        exit 0
    fi
    sleep 0.2
done
echo "Slurm's node $host isn't idle after 60 s: '$(node_state)'" >&2
tail -n 40 "$logs/slurmctld.log" "$logs/slurmd.log" >&2
exit 1
