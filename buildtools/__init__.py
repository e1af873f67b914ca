"""What builds this project: PJSIP (pjsip), its source (pjsip_source), the native extension (cython_ext).

Pure standard library, so that it runs before anything is installed; only cython_ext needs Cython, and only when it compiles.
"""
