"""How a job is started every day without anybody there: crontab, systemd and Kubernetes, filled in from plain values.

All three follow one policy of exit codes: 75 is asked again by itself (the same job goes on with what is left), 7 is no
alarm (another process is at it), 5 is settled by `reconcile` where that command exists, and everything else that is not
0 is for a person.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time

AFTER_DUE_MINUTES = 10
"""A start so long after the due moment: the list is there, and the date is certainly this one."""

NO_DUE = time(6, 0)
"""When a job without `due` is started: it has no moment of its own."""

PAUSES_SECONDS = (0, 900, 3600)
"""Before each try of what exits 75."""

GRACE_SECONDS = 120
"""How long a stop may take: the calls in flight, and the reports."""

ALARMS = (1, 2, 3, 4, 5, 6)
"""Exit codes that no later try mends by itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnattendedJob:
    """A job and where it runs. Paths are absolute; `program` is the command as words.

    `variables`: those that the job's paths hold, with their values here. `cap`: None when the job has none, which does
    not start unattended. `user`: who owns ledger and settings. `org`: when it was named by hand; `flags`: those that
    every command needs on this machine, `--org` among them. `reconcile`: whether the program has that command.
    """

    name: str
    file: str
    program: Sequence[str]
    folder: str
    settings: str
    state: str
    user: str
    zone: str | None
    due: time | None
    cap: int | None
    oauth: bool
    variables: Mapping[str, str]
    org: str | None = None
    flags: Sequence[str] = ()
    reconcile: bool = False
    version: str = ""

    @property
    def start(self) -> time:
        """When it is started each day, in its time zone."""
        if self.due is None:
            return NO_DUE
        minutes = (self.due.hour * 60 + self.due.minute + AFTER_DUE_MINUTES) % (24 * 60)
        return time(minutes // 60, minutes % 60)

    @property
    def words(self) -> list[str]:
        """The command that runs the job."""
        return [*self.program, "run", "--job", self.file, *self.flags, "--yes"]

    @property
    def secrets(self) -> tuple[str, str]:
        """The names of the variables that hold the credentials."""
        names = ("API_KEY", "API_SECRET") if self.oauth else ("API_USER", "API_PASSWORD")
        return f"COUPON_RUNNER_{names[0]}", f"COUPON_RUNNER_{names[1]}"

    @property
    def places(self) -> dict[str, str]:
        """The variables that lead every start to the same settings and ledger."""
        return {"XDG_CONFIG_HOME": self.settings, "XDG_STATE_HOME": self.state, **self.variables}

    @property
    def slug(self) -> str:
        """The job's name as systemd and Kubernetes take it."""
        return f"coupon-runner-{re.sub(r'[^a-z0-9]+', '-', self.name.lower()).strip('-') or 'job'}"[:52].strip("-")

    @property
    def secrets_file(self) -> str:
        """Where crontab and systemd find the credentials: beside the settings, for their owner only."""
        return f"{self.settings.rstrip('/')}/coupon-runner/{self.name}.env"


def _about(job: UnattendedJob) -> list[str]:
    cap = f"at most {job.cap:,} coupons a run" if job.cap is not None else "NO CAP: set max_coupons under [guards]"
    due = f"started {job.start:%H:%M}, an hour of your choice"
    if job.due is not None:
        due = f"due {job.due:%H:%M}, started {job.start:%H:%M}"
    return [f"job {job.name}: {due} ({job.zone or 'the zone of the machine'}), {cap}"]


def _secrets_file(job: UnattendedJob) -> list[str]:
    first, second = job.secrets
    return [
        f"credentials: {job.secrets_file}, for {job.user} only (chmod 600), holding the lines",
        f"    {first}=...",
        f"    {second}=...",
    ]


# ── crontab ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def crontab(job: UnattendedJob) -> str:
    """Lines for the crontab of the job's user. Cron mails what is printed: so only what needs a person is printed."""
    comments = [
        *_about(job),
        *_secrets_file(job),
        "75 is tried again after 15 and 60 minutes; 0 and 7 (another process is at it) print nothing;",
        "anything else prints its last line, which says why and what to run next, and cron mails it.",
    ]
    if job.reconcile:
        comments.append("5 (calls in doubt) is settled by `reconcile` first.")
    lines = [f"# {line}" for line in comments]
    if job.zone is not None:
        lines += [
            "# Debian's and Ubuntu's cron does not know CRON_TZ: there use systemd, or write the hour in the machine's",
            "# own zone. The date of the job is right in any case: the job's file says its zone.",
            f"CRON_TZ={job.zone}",
        ]
    places = [f"{name}={shlex.quote(value)}" for name, value in job.places.items()]
    setting = " ".join(["export", *places])
    pauses = " ".join(map(str, PAUSES_SECONDS))
    reconcile = ""
    if job.reconcile:
        again = shlex.join([*job.program, "reconcile", *job.flags])
        reconcile = f' [ "$code" -ne 5 ] || {{ said=$({again} --quiet 2>&1); code=$?; }};'
    script = (
        f"cd {shlex.quote(job.folder)} && set -a && . {shlex.quote(job.secrets_file)} && set +a && {setting}"
        f" && {{ for pause in {pauses}; do sleep $pause;"
        f" said=$({shlex.join(job.words)} --quiet 2>&1); code=$?;{reconcile}"
        f' [ "$code" -eq 75 ] || break; done; case "$code" in 0|7) ;; *) echo "$said";; esac; }}'
    )
    at = job.start
    lines += ["SHELL=/bin/sh", f"{at.minute} {at.hour} * * * {script.replace('%', chr(92) + '%')}"]
    return "\n".join(lines) + "\n"


# ── systemd ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def systemd_service(job: UnattendedJob) -> str:
    """`/etc/systemd/system/<slug>.service`."""
    comments = [f"/etc/systemd/system/{job.slug}.service", *_about(job), *_secrets_file(job)]
    environment = [f"Environment={_quoted(f'{name}={value}')}" for name, value in job.places.items()]
    command = " ".join(_quoted(word, dollar=True) for word in job.words)
    after = []
    if job.reconcile:
        settle = shlex.join([*job.program, "reconcile", *job.flags])
        script = f'test "$$EXIT_STATUS" != 5 || {settle.replace("%", "%%").replace("$", "$$")}'
        after = [
            "# 5: calls are in doubt, which reading the API may settle.",
            f"ExecStopPost=/bin/sh -c {_quoted(script)}",
        ]
    lines = [
        *(f"# {line}" for line in comments),
        "[Unit]",
        f"Description=coupon-runner, job {job.name.replace('%', '%%')}",
        "Wants=network-online.target",
        "After=network-online.target time-sync.target",
        "# At most four starts in four hours: after that a person looks.",
        "StartLimitIntervalSec=4h",
        "StartLimitBurst=4",
        "",
        "[Service]",
        "Type=exec",
        f"User={job.user}",
        f"WorkingDirectory={_specifiers(job.folder)}",
        f"EnvironmentFile={_specifiers(job.secrets_file)}",
        *environment,
        f"ExecStart={command}",
        "# 7: another process is at it, no alarm. 75: what is left can be sent again. The rest is for a person.",
        "SuccessExitStatus=7",
        "Restart=on-failure",
        "RestartForceExitStatus=75",
        f"RestartPreventExitStatus={' '.join(map(str, ALARMS))}",
        "RestartSec=15min",
        *after,
        "# A stop lets the calls in flight end and the reports be written.",
        "KillSignal=SIGTERM",
        f"TimeoutStopSec={GRACE_SECONDS}",
        "UMask=0077",
    ]
    return "\n".join(lines) + "\n"


def systemd_timer(job: UnattendedJob) -> str:
    """`/etc/systemd/system/<slug>.timer`."""
    zone = f" {job.zone}" if job.zone is not None else ""
    lines = [
        f"# /etc/systemd/system/{job.slug}.timer, started by: systemctl enable --now {job.slug}.timer",
        "[Unit]",
        f"Description=coupon-runner, job {job.name.replace('%', '%%')}, every day",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {job.start:%H:%M}:00{zone}",
        "# A start that was missed while the machine was off is made up for once; its date is the last due one.",
        "Persistent=true",
        "",
        "[Install]",
        "WantedBy=timers.target",
    ]
    return "\n".join(lines) + "\n"


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str, *, dollar: bool = False) -> str:
    """A word of a unit file: specifiers doubled, quoted when it must be. `dollar`: `$` would be a variable there."""
    text = _specifiers(text)
    text = text.replace("$", "$$") if dollar else text
    if re.fullmatch(r"[A-Za-z0-9_@%+=:,./$-]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


# ── Kubernetes ───────────────────────────────────────────────────────────────────────────────────────────────────────

_DATA = "/var/lib/coupon-runner"
_JOBS = "/etc/coupon-runner/jobs"


def cron_job(job: UnattendedJob) -> dict[str, object]:
    """A Kubernetes CronJob as plain data. One volume holds ledger, key, settings, reports and input."""
    spec: dict[str, object] = {
        "schedule": f"{job.start.minute} {job.start.hour} * * *",
        **({"timeZone": job.zone} if job.zone is not None else {}),
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 7,
        "jobTemplate": {
            "spec": {
                "backoffLimit": 4,
                "podFailurePolicy": {
                    "rules": [
                        {
                            "action": "FailJob",
                            "onExitCodes": {
                                "containerName": "coupon-runner",
                                "operator": "In",
                                "values": list(ALARMS),
                            },
                        },
                        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]},
                    ]
                },
                "template": {"spec": _pod(job)},
            }
        },
    }
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": job.slug}, "spec": spec}


def _pod(job: UnattendedJob) -> dict[str, object]:
    first, second = job.secrets
    org = ["--org", job.org] if job.org is not None else []
    run = ["coupon-runner", "run", "--job", f"{_JOBS}/{job.name}.toml", *org, "--out", f"{_DATA}/coupon-runs"]
    again = shlex.join(["coupon-runner", "reconcile", *org])
    settle = f' [ "$code" -ne 5 ] || {{ {again}; code=$?; }};' if job.reconcile else ""
    script = f'{shlex.join([*run, "--yes"])}; code=$?;{settle} [ "$code" -ne 7 ] || code=0; exit "$code"'
    plain = {"XDG_CONFIG_HOME": f"{_DATA}/config", "XDG_STATE_HOME": f"{_DATA}/state", **job.variables}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000},
        "containers": [
            {
                "name": "coupon-runner",
                "image": f"coupon-runner:{job.version or 'latest'}",
                "workingDir": f"{_DATA}/work",
                "command": ["/bin/sh", "-c", script],
                "env": [
                    *({"name": name, "value": value} for name, value in plain.items()),
                    *(
                        {"name": name, "valueFrom": {"secretKeyRef": {"name": job.slug, "key": name}}}
                        for name in (first, second)
                    ),
                ],
                "volumeMounts": [
                    {"name": "data", "mountPath": _DATA},
                    {"name": "jobs", "mountPath": _JOBS, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": job.slug}},
            {"name": "jobs", "configMap": {"name": job.slug}},
        ],
    }


def volume_claim(job: UnattendedJob) -> dict[str, object]:
    """The volume's claim as plain data: for one pod at a time."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": job.slug},
        "spec": {"accessModes": ["ReadWriteOncePod"], "resources": {"requests": {"storage": "10Gi"}}},
    }


def kubernetes(job: UnattendedJob) -> str:
    """Both as YAML, with what has to be there before."""
    first, second = job.secrets
    literals = f"--from-literal={first}=... --from-literal={second}=..."
    settle = " 5 (calls in doubt) is settled by `reconcile` first." if job.reconcile else ""
    comments = [
        *_about(job),
        "Before it: an image `coupon-runner` with this program in it; then",
        f"    kubectl create secret generic {job.slug} {literals}",
        f"    kubectl create configmap {job.slug} --from-file={job.name}.toml={job.file}",
        "The volume holds the ledger (state/), its key and the settings (config/), work/ (the folder where the job's",
        "relative paths start) and the reports. A block volume of one node, never NFS; back it up. Set the",
        "organisation up in it once, in a pod with that volume and secret: coupon-runner init --org ... --api-url ...",
        "7 (another process is at it) counts as success, 75 is tried again by a new pod, 1 to 6 fail the job." + settle,
        "Let your alerts name its last line (kubectl logs), which says why and what to run next.",
    ]
    documents = (volume_claim(job), cron_job(job))
    return "\n".join(f"# {line}" for line in comments) + "\n" + "".join(f"---\n{to_yaml(one)}" for one in documents)


def to_yaml(value: Mapping[str, object]) -> str:
    """Mappings, lists, texts, numbers and truth values as YAML in blocks; a text that might be misread is quoted."""
    return "".join(f"{line}\n" for line in _block(value))


def _block(value: object) -> list[str]:
    lines: list[str] = []
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if isinstance(inner, Mapping | list) and inner:
                lines += [f"{_scalar(name)}:", *(f"  {line}" for line in _block(inner))]
            else:
                lines.append(f"{_scalar(name)}: {_scalar(inner)}")
    elif isinstance(value, list):
        for inner in value:
            first, *rest = _block(inner)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
    else:
        lines.append(_scalar(value))
    return lines


def _scalar(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z/][A-Za-z0-9_./-]*", value):
        lower = value.lower()
        if lower not in ("true", "false", "yes", "no", "on", "off", "null", "y", "n"):
            return value
    return json.dumps(value)  # JSON is YAML
