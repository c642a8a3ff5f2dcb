"""The programs and checks that propose findings without a model.

Each module has one function ``run(subjects, ...) -> AnalyserResult``. None of them reads a settings file: what they look
for is written here, so that a change under review cannot switch its own review off.
"""
