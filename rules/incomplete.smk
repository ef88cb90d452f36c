"""The board of what there is: after a failure, or by hand with `leakboard board`.

in    whatever there is of what the page rests on
out   results/incomplete/{track}/*, results/incomplete/leaderboard.html
      results/logs/jobs.json   which jobs there are, for `leakboard status`
"""

from snakemake.iocontainers import Wildcards

from leakboard import status
from leakboard.stages import DERIVED, MEASURED
from snakemake_logger_plugin_leakboard.words import title


def jobs():
    """Every job that the page rests on, by the path of each file that it makes."""
    # by the names that they have here, whatever a workflow that takes this one as a module says
    makers = [(name, out) for name, each in rules._rules.items() for out in each.rule.output]
    found, todo = {}, [rules.page.output.html]
    while todo:
        path = todo.pop()
        matches = ((maker, output.match(path)) for maker, output in makers)
        maker, match = next((pair for pair in matches if pair[1]), ("", None))
        if maker and path not in found:
            found[path] = job(maker, match.groupdict())
            todo += [file for files in found[path]["inputs"].values() for file in files]
    return found


def plan_jobs():
    """Write down every job there is, and the previews that only `all` asks for."""
    previews = [
        job("preview", {"track": track, **names})
        for track, plan in PLANS.items()
        for names in needs.pictures(plan)
    ]
    undone = {str(file) for each in workflow.dag.needrun_jobs() for file in each.output}
    planned = {
        each["log"]: {**each, "undone": not undone.isdisjoint(each["outputs"].values())}
        for each in [*jobs().values(), *previews]
    }
    status.plan(planned.values(), [each.name for each in workflow.rules], "results")


def what_there_is():
    """The same, and which files their jobs have yet to make, as this run sees it."""
    undone = {str(file) for each in workflow.dag.needrun_jobs() for file in each.output}
    return {path: {**each, "undone": path in undone} for path, each in jobs().items()}


def everything(_):
    """Every file that the page rests on.

    Asked for by name, a file that is lost, or was removed when its job failed, is made again. Where
    only the page is asked for, it would count as up to date, and an old board as the new one.
    """
    return list(jobs())


def job(maker, names):
    """What the board of what there is must know of a job."""
    made, wildcards = getattr(rules, maker), Wildcards(fromdict=names)

    def paths(given):
        some = given(wildcards) if callable(given) else given
        return [f.format(**names) for f in ([some] if isinstance(some, str) else some)]

    plan = PLANS.get(names.get("track"))
    stage = maker in MEASURED or maker in DERIVED
    return {
        "rule": maker,
        "title": title(maker, names),
        "track": names.get("track", ""),
        "log": made.log[0].format(**names),
        "inputs": {k: paths(given) for k, given in made.input.items() if k != "code"},
        "outputs": {k: f.format(**names) for k, f in made.output.items() if isinstance(f, str)},
        "spec": (plan.of(maker, **names) if plan else PAGE) if stage else None,
    }


def show_what_there_is(after_failure):
    """Make the board of what there is, and say where it is."""
    from leakboard import incomplete  # it loads what only jobs need

    try:
        said = incomplete.main(what_there_is(), after_failure)
    except UserError as error:
        said = str(error)
    except Exception as error:  # the failure of the run is what matters
        said = f"no board of what there is: {type(error).__name__}: {error}"
    if said:
        print(f"leakboard: {said}")
