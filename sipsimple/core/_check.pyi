def status_text(status: int) -> str:
    """PJSIP's own text for a status code."""
