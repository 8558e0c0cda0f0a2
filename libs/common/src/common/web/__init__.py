"""The HTTP edge that all services share: the application, its pages, its error answers, its guards."""
