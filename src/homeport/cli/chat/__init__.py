"""`homeport chat`: what is said becomes lines, and lines become what is said."""
