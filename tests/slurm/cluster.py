"""A real SLURM on this machine, for tests: plain processes below one short folder.

Works as any user, without systemd and without cgroups. Nothing outside the folder is written.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shlex
import shutil
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from waiting import until

PACKAGES = "slurm-client slurmctld slurmd munge slurmdbd slurm-wlm-mysql-plugin mariadb-server"
CLIENTS = ("sacct", "sacctmgr", "sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
DAEMONS = ("munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd", "mariadb-install-db")
SEARCHED = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])

CONF = """\
ClusterName=leaktest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# a node has what it says, whatever this machine has
SlurmdParameters=config_overrides
# a job that fits nowhere is refused instead of waiting for ever
EnforcePartLimits=ALL
ReturnToService=2
JobRequeue=1
# at once, not every half minute
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1
SlurmdTimeout={node_timeout}
KillWait={kill_wait}
CompleteWait=0
# long enough for status by squeue
MinJobAge=3600
# a killed training is asked for by a partition that comes first
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task={sampled}
"""
ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/run/munge.socket
AccountingStoreFlags=job_comment
"""
DATABASE = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct_db
"""


def missing() -> list[str]:
    """The programs that a cluster needs and this machine lacks."""
    return [name for name in (*CLIENTS, *DAEMONS) if not shutil.which(name, path=SEARCHED)]


class Cluster:
    """munge, accounting, one controller and some nodes; a context manager.

    A node has `cpus`, `memory` (MB) and `gpus`, which need not exist. Jobs that use more memory
    than they asked for are killed. Partitions: `normal` and `gpu`, and `urgent`, whose jobs take
    the place of others, which are requeued. The account is `lab`.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 3,
        *,
        cpus: int = 2,
        memory: int = 64000,
        gpus: int = 2,
        accounting: bool = True,
        memory_kill: bool = True,
        node_timeout: int = 10,
        kill_wait: int = 12,
        more: Sequence[str] = (),
    ) -> None:
        if len(str(folder)) > 70:  # sockets lie below it
            raise ValueError(f"{folder}: expected at most 70 characters")
        self.folder, self.accounting = folder, accounting
        self.nodes = [f"node{i + 1}" for i in range(nodes)]
        self.cpus, self.memory, self.gpus = cpus, memory, gpus
        self.memory_kill, self.node_timeout = memory_kill, node_timeout
        self.kill_wait, self.more = kill_wait, more
        self.daemons: dict[str, psutil.Popen] = {}
        self.env = {name: text for name, text in os.environ.items() if "SLURM" not in name}
        self.env["SLURM_CONF"] = str(folder / "etc/slurm.conf")
        # the job step of Snakemake takes SLURM_CONF out of the environment before it calls srun
        self.env["PATH"] = os.pathsep.join([str(folder / "bin"), SEARCHED])

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything, in about five seconds; back when a job has run on every node."""
        for name in ("bin", "etc", "run", "log", "state", "spool", "db"):
            (self.folder / name).mkdir(parents=True)
        port, database = free_ports(len(self.nodes) + 2)
        self._munge()
        self._configure(port, database)
        if self.accounting:
            self._accounting(database)
        self._begin("slurmctld", "slurmctld", "-D", "-i", "-f", self.env["SLURM_CONF"])
        self._until("slurmctld", lambda: "is UP" in self.run("scontrol", "ping"))
        for node in self.nodes:
            self._slurmd(node)
        for node in self.nodes:
            self._until(f"slurmd.{node}", lambda node=node: self.state(node) in UP)
        for name in CLIENTS:
            wrapper, path = self.folder / "bin" / name, shutil.which(name, path=SEARCHED)
            conf = shlex.quote(self.env["SLURM_CONF"])
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {path} "$@"\n')
            wrapper.chmod(0o755)
        self.run("srun", "--quiet", f"--nodes={len(self.nodes)}", "true")

    def stop(self) -> None:
        """End all that was started, and nothing else; the logs stay."""
        if "slurmctld" in self.daemons:
            with contextlib.suppress(subprocess.SubprocessError):
                self.run("scancel", f"--user={getpass.getuser()}")
                until(lambda: not self.run("squeue", "-h"), 15)
        for name in [*(f"slurmd.{node}" for node in self.nodes), *REST]:
            if daemon := self.daemons.pop(name, None):
                with contextlib.suppress(psutil.NoSuchProcess):
                    daemon.terminate()
                try:
                    daemon.wait(20)
                except psutil.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        for node in self.nodes:
            self._kill_steps(node)

    def run(self, *command: str) -> str:
        """What a client says. Raises CalledProcessError, with what it said, when it fails."""
        done = subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            said = f"{done.stdout}{done.stderr}"
            raise subprocess.CalledProcessError(done.returncode, command, said)
        return done.stdout.strip()

    def state(self, node: str) -> str:
        """`idle`, `mixed`, `down`, ... or nothing when the controller does not answer."""
        with contextlib.suppress(subprocess.SubprocessError):
            return self.run("sinfo", "-h", "-N", "-p", "normal", "-n", node, "-o", "%T")
        return ""

    def queue(self) -> list[dict[str, str]]:
        """The jobs that wait or run: id, state, node, comment (which rule), name."""
        lines = self.run("squeue", "-h", "-o", "%A|%T|%N|%k|%j").splitlines()
        return [
            dict(zip(("id", "state", "node", "comment", "name"), line.split("|"), strict=True))
            for line in lines
        ]

    def history(self) -> list[dict[str, str]]:
        """All jobs that there were, as `sacct` tells them; a requeued one is told for each try."""
        said = self.run("sacct", "-X", "-n", "-P", "-D", "-o", "jobid,state,nodelist,comment")
        rows = (line.split("|") for line in said.splitlines())
        return [dict(zip(("id", "state", "node", "comment"), r, strict=True)) for r in rows]

    def kill_node(self, node: str) -> None:
        """Power off: its daemon, its job steps and their jobs are killed; the controller knows."""
        daemon = self.daemons.pop(f"slurmd.{node}")
        daemon.kill()
        daemon.wait()
        self._kill_steps(node)
        self.run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")

    def start_node(self, node: str) -> None:
        """Power on."""
        self._slurmd(node)
        with contextlib.suppress(subprocess.CalledProcessError):  # it is back by itself already
            self.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self._until(f"slurmd.{node}", lambda: self.state(node) in UP)

    def hurry(self, job: str) -> None:
        """A requeued job waits for two minutes. Not this one."""
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now")

    def _begin(self, name: str, *command: str, **env: str) -> None:
        """Start a daemon that ends with this process, whatever becomes of it."""
        with open(self.folder / "log" / f"{name}.out", "ab") as out:
            self.daemons[name] = psutil.Popen(
                ["setpriv", "--pdeathsig", "TERM", *command],
                env={**self.env, "MALLOC_ARENA_MAX": "2", **env},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _slurmd(self, node: str) -> None:
        self._begin(f"slurmd.{node}", "slurmd", "-D", "-N", node, "-f", self.env["SLURM_CONF"])

    def _until(self, name: str, true: Callable[[], bool]) -> None:
        """Wait until a daemon answers. Raises RuntimeError with its last words if it does not."""

        def answers() -> bool:
            if self.daemons[name].poll() is not None:
                return True
            with contextlib.suppress(subprocess.SubprocessError):
                return true()
            return False

        if not until(answers, 60) or self.daemons[name].poll() is not None:
            said = [f.read_text()[-2000:] for f in sorted((self.folder / "log").glob(f"{name}*"))]
            raise RuntimeError(f"{name} did not start:\n" + "\n".join(said))

    def _munge(self) -> None:
        key, run = self.folder / "etc/munge.key", self.folder / "run"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        files = {"key": key, "socket": run / "munge.socket", "pid": run / "munged.pid"}
        files |= {"log": self.folder / "log/munged.log", "seed": run / "munged.seed"}
        options = [f"--{k}{'' if k == 'socket' else '-file'}={file}" for k, file in files.items()]
        self._begin("munged", "munged", "--foreground", "--force", *options)
        self._until("munged", lambda: bool(self.run("munge", "-n", "-S", str(files["socket"]))))

    def _configure(self, port: int, database: int) -> None:
        etc, host = self.folder / "etc", socket.gethostname().split(".")[0]
        names = {"folder": self.folder, "host": host, "user": getpass.getuser()}
        text = CONF.format(
            **names,
            port=port,
            node_timeout=self.node_timeout,
            kill_wait=self.kill_wait,
            sampled=1 if self.memory_kill else 10,
        )
        if self.memory_kill:  # shared pages count once, or forked Pythons die at random
            text += "JobAcctGatherParams=OverMemoryKill,UsePss\n"
        if self.accounting:
            text += ACCOUNTING.format(**names, port=database)
            conf = etc / "slurmdbd.conf"
            conf.touch(mode=0o600)
            conf.write_text(DATABASE.format(**names, port=database))
        for i, node in enumerate(self.nodes):
            has = f"CPUs={self.cpus} RealMemory={self.memory} Gres=gpu:{self.gpus}"
            at = f"NodeHostname={host} NodeAddr=127.0.0.1 Port={database + 1 + i}"
            text += f"NodeName={node} {at} {has} State=UNKNOWN\n"
        # the least loaded node first: few jobs reach all of them
        text += "PartitionName=normal Nodes=ALL Default=YES LLN=YES PriorityTier=1\n"
        text += "PartitionName=gpu Nodes=ALL LLN=YES PriorityTier=1\n"
        text += "PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF\n"
        (etc / "slurm.conf").write_text("\n".join([text, *self.more, ""]))
        devices = etc / "dev"
        devices.mkdir()
        for i in range(self.gpus):  # slurmd wants character devices
            (devices / f"gpu{i}").symlink_to("/dev/null")
        gres = f"Name=gpu File={devices}/gpu[0-{self.gpus - 1}] Flags=nvidia_gpu_env\n"
        (etc / "gres.conf").write_text(gres if self.gpus else "")
        # without this line slurmd looks for cgroups, and ends where there are none
        version = subprocess.run(["slurmd", "-V"], env=self.env, capture_output=True, text=True)
        old = version.stdout.split()[-1].startswith("22.")
        (etc / "cgroup.conf").write_text(f"CgroupPlugin={'cgroup/v1' if old else 'disabled'}\n")

    def _accounting(self, port: int) -> None:
        data, user = self.folder / "db", getpass.getuser()
        # a place of its own for temporary tables: two clusters may start at once
        small = ["--innodb-log-file-size=16M", f"--tmpdir={self.folder}/run"]
        with open(self.folder / "log/install.out", "wb") as out:
            subprocess.run(
                ["mariadb-install-db", "--no-defaults", f"--user={user}", f"--datadir={data}",
                 "--skip-test-db", "--auth-root-authentication-method=normal", *small],
                env=self.env, stdout=out, stderr=out, check=True,
            )  # fmt: skip
        door = self.folder / "run/mysql.sock"
        small += ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=0"]
        small += ["--performance-schema=OFF", "--skip-log-bin", "--innodb-lock-wait-timeout=900"]
        self._begin(
            "mariadbd", "mariadbd", "--no-defaults", f"--user={user}", f"--datadir={data}",
            "--skip-networking", f"--socket={door}", "--skip-name-resolve",
            f"--pid-file={self.folder}/run/mariadbd.pid", *small,
        )  # fmt: skip
        self._until("mariadbd", door.exists)
        self._begin("slurmdbd", "slurmdbd", "-D", MYSQL_UNIX_PORT=str(door))
        add = ("sacctmgr", "-i", "add")
        self._until("slurmdbd", lambda: self.run("sacctmgr", "-n", "list", "cluster") == "")
        self.run(*add, "cluster", "leaktest")
        self.run(*add, "account", "lab", "Cluster=leaktest")
        self.run(*add, "user", user, "Account=lab")

    def _kill_steps(self, node: str) -> None:
        """Kill what a node's daemon left behind: its job steps, and the jobs below them."""
        log = self.folder / "log" / f"slurmd.{node}.log"
        for process in psutil.process_iter(["exe"]):
            with contextlib.suppress(psutil.Error):
                if Path(process.info["exe"] or "").name.startswith("slurmstepd") and any(
                    file.path == str(log) for file in process.open_files()
                ):
                    for each in [*process.children(recursive=True), process]:
                        with contextlib.suppress(psutil.NoSuchProcess):
                            each.kill()


UP = ("idle", "mixed", "allocated", "completing")
REST = ("slurmctld", "slurmdbd", "mariadbd", "munged")


def free_ports(n: int) -> tuple[int, int]:
    """The first two of `n` free ports in a row, where nothing is given out by the system."""
    while True:
        first = 10_000 + secrets.randbelow(20_000)
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(first, first + n):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first, first + 1
