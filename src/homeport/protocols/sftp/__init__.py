"""SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions: packets in, requests out, and replies."""
