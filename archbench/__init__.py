"""archbench: is this architecture really better than that one?

Three verbs cover most use from Python (heavy imports happen when a verb is first called):

    archbench.run(suite)             run a suite, return its results
    archbench.load_results(folder)   results of an earlier run
    archbench.load_lm(model, ...)    archbench's engine as an lm-eval `LM`
"""
