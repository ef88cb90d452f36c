"""The board of what there is: after a failure, or by hand with `leakboard board`.

in    whatever there is of what the page rests on
out   results/incomplete/{track}/*, results/incomplete/leaderboard.html
      results/logs/jobs.json   which jobs there are, for `leakboard status`
"""

from itertools import chain

from snakemake.io import strip_wildcard_constraints
from snakemake.iocontainers import Wildcards

from leakboard import status
from leakboard.stages import DERIVED, MEASURED
from snakemake_logger_plugin_leakboard.words import title

CODE = ("code", "step")  # inputs that say what is in a job's sources


def folder(path):
    """The third part of a path: below `results/{track}`, that tells most rules from another."""
    return "".join(path.split(os.sep)[2:3])


def walked():
    """(rule, names, inputs) of every job that the page rests on, by each file that it makes."""
    makers, found, todo = {}, {}, [rules.page.output.html]
    # by the names that they have here, whatever a workflow that takes this one as a module says
    for name, each in rules._rules.items():
        for output in each.rule.output:
            place = folder(strip_wildcard_constraints(output))
            makers.setdefault(place, []).append((name, output))
    while todo:
        path = todo.pop()
        matches = ((maker, output.match(path)) for maker, output in makers.get(folder(path), ()))
        maker, match = next((pair for pair in matches if pair[1]), ("", None))
        if maker and path not in found:
            names = match.groupdict()
            found[path] = maker, names, needed(maker, names)
            todo += [file for files in found[path][2].values() for file in files]
    return found


def needed(maker, names):
    """What a job is made from, but for its code: name of input -> paths."""
    wildcards = Wildcards(fromdict=names)

    def paths(given):
        some = given(wildcards) if callable(given) else given
        return [f.format(**names) for f in ([some] if isinstance(some, str) else some)]

    return {k: paths(given) for k, given in getattr(rules, maker).input.items() if k not in CODE}


def lost(_):
    """The files that the page rests on and that are not there, though something made of them is.

    Asked for by name, a file that is lost, or was removed when its job failed, is made again. Where
    only the page is asked for, it would count as up to date, and an old board as the new one. What
    nothing was made of yet is made anyway, for the page.
    """
    jobs = walked()
    absent = {path for path in jobs if not os.path.exists(path)}
    found = (
        file
        for path, (_, _, inputs) in jobs.items()
        if path not in absent
        for file in chain.from_iterable(inputs.values())
    )
    return sorted(absent.intersection(found))


def undone():
    """The files that jobs have yet to make, as this run sees it."""
    return {str(file) for each in workflow.dag.needrun_jobs() for file in each.output}


def plan_jobs():
    """Write down every job there is, and the previews that only `all` asks for."""
    previews = [
        ("preview", names, needed("preview", names))
        for track, plan in PLANS.items()
        for names in ({"track": track, **each} for each in needs.pictures(plan))
    ]
    ahead = undone()
    jobs = [job(*known) for known in [*walked().values(), *previews]]
    planned = {
        each["log"]: {**each, "undone": not ahead.isdisjoint(each["outputs"].values())}
        for each in jobs
    }
    status.plan(planned.values(), [each.name for each in workflow.rules], "results")


def what_there_is():
    """Every job that the page rests on, by the path of each file that it makes, and whether it has
    yet to make that one.
    """
    ahead = undone()
    jobs = {path: job(*known) for path, known in walked().items()}
    return {path: {**each, "undone": path in ahead} for path, each in jobs.items()}


def job(maker, names, inputs):
    """What the board of what there is must know of a job."""
    made, plan = getattr(rules, maker), PLANS.get(names.get("track"))
    stage = maker in MEASURED or maker in DERIVED
    return {
        "rule": maker,
        "title": title(maker, names),
        "track": names.get("track", ""),
        "log": made.log[0].format(**names),
        "inputs": inputs,
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
